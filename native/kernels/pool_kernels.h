// Pooling of one channel block, and its gradient.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// Neighbouring windows of one row of a pooling, all of the same size.
struct PoolArgs {
  std::int64_t windows, rows, columns;
  const float* x;                  // first pixel of the first window
  std::ptrdiff_t x_row, x_column;  // floats from a row or column of a window to the next
  std::ptrdiff_t x_window;         // from a window to the next
  float* y;                        // one pixel a window, side by side
  float scale;                     // average: 1 / count
  // Backward: the same of the gradients.
  const float* dy;
  float* dx;
  std::ptrdiff_t dx_row, dx_column, dx_window;
  bool add;  // to what dx holds; else the windows have no pixel in common
};

struct PoolKernels {
  // y[w][l] = max over the window, −∞ of none and NaN of any NaN; or scale·Σ over it
  void (*maximum)(const PoolArgs& args);
  void (*average)(const PoolArgs& args);
  // To the window's first maximum, and to all of it evenly.
  void (*maximum_gradient)(const PoolArgs& args);
  void (*average_gradient)(const PoolArgs& args);
};

}  // namespace polyadic

// Pooling of one channel block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// Neighbouring output pixels whose windows are cut off by no edge differently: all have the same rows and columns.
struct PoolArgs {
  const float* x;                  // first pixel of the first window
  std::ptrdiff_t x_row, x_column;  // floats to the next row and column of a window
  std::ptrdiff_t x_step;           // floats to the next window
  std::int64_t rows, columns;      // of a window
  float* y;
  std::int64_t pixels;
  float scale;  // average: what the sum is multiplied by
};

// y[p][l] = max over the window, −∞ of none and NaN never; or scale·Σ over it
using PoolRow = void (*)(const PoolArgs&);

struct PoolKernels {
  PoolRow maximum, average;
};

}  // namespace polyadic

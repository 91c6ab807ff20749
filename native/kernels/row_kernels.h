// What passes over rows of a blocked value take their time in: a residual's sum, local response normalisation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// to[i] += from[i], and with relu max(·, 0), for i < count, a multiple of the vector lanes.
using AddRow = void (*)(const float* from, float* to, std::int64_t count, bool relu);

struct LrnArgs {
  const float* x;  // of pixel 0, channel block 0
  float* y;
  std::ptrdiff_t x_plane, y_plane;  // from one channel block to the next
  std::int64_t pixels, channels;
  std::int64_t before, after;  // channels of a window on either side
  float alpha, bias;
  float* squares;  // scratch: before + channels, rounded up to whole blocks, + after floats
};

// y_c = x_c · s_c^−¾ with s_c = bias + alpha·Σ x_k² over the window's channels k: ¾ is the power that everybody uses,
// in square roots.
using LrnRow = void (*)(const LrnArgs&);

struct RowKernels {
  AddRow add;
  LrnRow lrn;
};

}  // namespace polyadic

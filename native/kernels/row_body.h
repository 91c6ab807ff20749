// The one body of the row kernels, over Vec. Included once by each ISA's file after its vec_*.h.
#include "row_kernels.h"

namespace {

void add_row(const float* from, float* to, std::int64_t count, bool relu) {
  for (std::int64_t i = 0; i < count; i += Vec::kLanes) {
    const Vec sum = Vec::load(to + i) + Vec::load(from + i);
    // The sum comes second: where it is NaN, the vector maximum gives it back.
    (relu ? max(Vec::zero(), sum) : sum).store(to + i);
  }
}

void lrn_row(const polyadic::LrnArgs& given) {
  const polyadic::LrnArgs args = given;
  const std::int64_t blocks = (args.channels + Vec::kLanes - 1) / Vec::kLanes;
  float* const squares = args.squares + args.before;  // of channel 0; zeros around them
  for (std::int64_t i = 0; i < args.before; ++i) args.squares[i] = 0;
  const Vec alpha = Vec::broadcast(args.alpha), bias = Vec::broadcast(args.bias);
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    const float* x = args.x + p * Vec::kLanes;
    float* y = args.y + p * Vec::kLanes;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const Vec v = Vec::load(x + b * args.x_plane);
      (v * v).store(squares + b * Vec::kLanes);
    }
    for (std::int64_t i = args.channels; i < blocks * Vec::kLanes + args.after; ++i) squares[i] = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
      Vec sum = Vec::zero();
      for (std::int64_t k = -args.before; k <= args.after; ++k) sum = sum + Vec::load(squares + b * Vec::kLanes + k);
      const Vec root = sqrt(fma(alpha, sum, bias));
      (Vec::load(x + b * args.x_plane) / (root * sqrt(root))).store(y + b * args.y_plane);
    }
  }
}

constexpr polyadic::RowKernels row_kernels() { return {add_row, lrn_row}; }

}  // namespace

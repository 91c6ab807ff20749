// The one body of the pooling kernels, over Vec. Included once by each ISA's file after its vec_*.h.
#include <math.h>

#include "pool_kernels.h"

namespace {

// Windows of 2×2 and 3×3 have their loops unrolled; 0: any size.
template <int Size, class F>
inline void each_of_window(const polyadic::PoolArgs& args, F&& f) {
  const std::int64_t rows = Size > 0 ? Size : args.rows, columns = Size > 0 ? Size : args.columns;
#pragma GCC unroll 3
  for (std::int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 3
    for (std::int64_t c = 0; c < columns; ++c)
      f(r * args.x_row + c * args.x_column, r * args.dx_row + c * args.dx_column);
  }
}

template <int Size, bool Maximum>
void pool_windows(const polyadic::PoolArgs& given) {
  const polyadic::PoolArgs args = given;
  const float* x = args.x;
  for (std::int64_t w = 0; w < args.windows; ++w, x += args.x_window) {
    Vec result = Maximum ? Vec::broadcast(-INFINITY) : Vec::zero();
    each_of_window<Size>(args, [&](std::ptrdiff_t at, std::ptrdiff_t) {
      result = Maximum ? max_or_nan(Vec::load(x + at), result) : result + Vec::load(x + at);
    });
    (Maximum ? result : result * Vec::broadcast(args.scale)).store(args.y + w * Vec::kLanes);
  }
}

template <int Size, bool Maximum>
void pool_windows_gradient(const polyadic::PoolArgs& given) {
  const polyadic::PoolArgs args = given;
  const Vec zero = Vec::zero();
  const float* x = args.x;
  float* dx = args.dx;
  for (std::int64_t w = 0; w < args.windows; ++w, x += args.x_window, dx += args.dx_window) {
    Vec rest = Vec::load(args.dy + w * Vec::kLanes);  // maximum: a lane's gradient until its maximum is found, then 0
    const Vec best = Maximum ? Vec::load(args.y + w * Vec::kLanes) : zero;
    if (!Maximum) rest = rest * Vec::broadcast(args.scale);
    each_of_window<Size>(args, [&](std::ptrdiff_t at, std::ptrdiff_t to) {
      Vec part = rest;
      if (Maximum) {
        const Vec value = Vec::load(x + at);
        part = if_equal(value, best, rest, zero);
        rest = if_equal(value, best, zero, rest);
      }
      (args.add ? part + Vec::load(dx + to) : part).store(dx + to);
    });
  }
}

template <bool Maximum>
void pool(const polyadic::PoolArgs& args) {
  if (args.rows == 2 && args.columns == 2) return pool_windows<2, Maximum>(args);
  if (args.rows == 3 && args.columns == 3) return pool_windows<3, Maximum>(args);
  pool_windows<0, Maximum>(args);
}

template <bool Maximum>
void pool_gradient(const polyadic::PoolArgs& args) {
  if (args.rows == 2 && args.columns == 2) return pool_windows_gradient<2, Maximum>(args);
  if (args.rows == 3 && args.columns == 3) return pool_windows_gradient<3, Maximum>(args);
  pool_windows_gradient<0, Maximum>(args);
}

constexpr polyadic::PoolKernels pool_kernels() {
  return {pool<true>, pool<false>, pool_gradient<true>, pool_gradient<false>};
}

}  // namespace

#include "peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dispatch.h"

namespace polyadic {

double peak_gflops() {
  constexpr std::int64_t kRounds = 400000, kOperations = 12 * 2;
  const FloatKernels& f32 = kernels().f32;
  volatile float sink = 0;
  double best = 0;
  for (int run = 0; run < 12; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    sink = sink + f32.peak(kRounds);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(kRounds * kOperations * f32.block) / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace polyadic

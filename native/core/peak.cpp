#include "peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dispatch.h"

namespace polyadic {
namespace {

constexpr std::int64_t kRounds = 400000, kOperations = 12 * 2;

template <class Loop>
double best_rate(Loop loop, int lanes) {
  volatile double sink = 0;
  double best = 0;
  for (int run = 0; run < 12; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    sink = sink + static_cast<double>(loop(kRounds));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(kRounds * kOperations * lanes) / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace

double peak_gflops() { return best_rate(kernels().f32.peak, kernels().f32.block); }

// Each of its rounds is as many operations as four of the others'.
double peak_gflops_bf16() {
  const Bf16Kernels& table = bf16_kernels();
  return best_rate(table.peak, 4 * (table.block > 0 ? table.block : 1));
}

double peak_gflops_double() { return best_rate(kernels().f64.peak, kernels().f64.lanes); }

}  // namespace polyadic

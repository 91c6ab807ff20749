#include "peak.h"

#include <chrono>
#include <cstdint>

#include "dispatch.h"

namespace polyadic {
namespace {

constexpr std::int64_t kRounds = 400000, kOperations = 12 * 2;

template <class Loop>
double rate(Loop loop, int lanes) {
  const auto begin = std::chrono::steady_clock::now();
  const volatile double sink = static_cast<double>(loop(kRounds));
  static_cast<void>(sink);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(kRounds * kOperations * lanes) / seconds.count() * 1e-9;
}

}  // namespace

double peak_gflops() { return rate(kernels().f32.peak, kernels().f32.block); }

// Each of its rounds is as many operations as four of the others'.
double peak_gflops_bf16() {
  const Bf16Kernels& table = bf16_kernels();
  return rate(table.peak, 4 * (table.block > 0 ? table.block : 1));
}

double peak_gflops_double() { return rate(kernels().f64.peak, kernels().f64.lanes); }

}  // namespace polyadic

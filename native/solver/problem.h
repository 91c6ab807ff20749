// What all methods share: the tensor scaled to norm 1, the buffers, and the record of the run.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpd.h"
#include "gemm64.h"
#include "mttkrp.h"

namespace polyadic::solver {

class Problem {
 public:
  // tensor: ‖T‖ = 1, kept by the caller.
  Problem(const double* tensor, const CpdSpec& spec, const JobControl& control)
      : gemm(spec.threads),
        mttkrp(spec.dims, spec.rank),
        tensor_(tensor),
        spec_(spec),
        control_(control),
        size_(product(spec.dims, 0, spec.dims.size())) {}

  Gemm gemm;
  Mttkrp mttkrp;

  const double* tensor() const { return tensor_; }
  std::int64_t size() const { return size_; }
  const CpdSpec& spec() const { return spec_; }
  const JobControl& control() const { return control_; }

  // ½‖T − M‖² from the factors, without cancellation. residual becomes T − M.
  double direct_objective(const Factors& factors, std::vector<double>& residual);
  // K_n of all modes; the partial products are then those of these factors.
  void mttkrp_all(const Factors& factors, Factors& dst);

  // Appends to the trace, reports progress, and throws when the job was cancelled.
  void record(double error, double gradient_norm, double damping, std::int64_t inner_iterations);

  std::vector<TraceEntry> trace;

 private:
  const double* tensor_;
  const CpdSpec& spec_;
  const JobControl& control_;
  std::int64_t size_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Tells a run that has settled: over the last kWindow iterations the error fell by less than the tolerance a step. A
// single small step says little: extrapolated ones come in fits.
class SettledTest {
 public:
  SettledTest(double tolerance, double error) : tolerance_(tolerance) { errors_.fill(error); }
  bool settled(double error) {
    const double before = errors_[next_];
    errors_[next_] = error;
    next_ = (next_ + 1) % kWindow;
    ++count_;
    return count_ >= kWindow && before - error <= kWindow * tolerance_ * before;
  }

 private:
  static constexpr std::size_t kWindow = 6;
  double tolerance_;
  std::size_t next_ = 0, count_ = 0;
  std::array<double, kWindow> errors_;
};

// Errors below this count as exact: what float64 can tell from zero.
constexpr double kExactError = 1e-13;

}  // namespace polyadic::solver

// What all methods share: the tensor scaled to norm 1, the buffers, and the record of the run.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cpd.h"
#include "gemm64.h"
#include "metric.h"
#include "mttkrp.h"

namespace polyadic::solver {

class Problem {
 public:
  // tensor: kept by the caller; times scale it has ‖T‖ = 1, and that is what everything here is about.
  Problem(const double* tensor, double scale, const CpdSpec& spec, const JobControl& control)
      : gemm(spec.threads, control),
        mttkrp(spec.dims, spec.rank),
        tensor_(tensor),
        scale_(scale),
        spec_(spec),
        control_(control),
        size_(product(spec.dims, 0, spec.dims.size())) {}

  Gemm gemm;
  Mttkrp mttkrp;

  // T in the form that products are made from, packed on first use.
  const PanelMatrix& tensor() {
    if (panels_.empty()) panels_ = mttkrp.panels(gemm, tensor_, scale_);
    return panels_;
  }
  // T as it was given, to be multiplied by scale.
  const double* raw() const { return tensor_; }
  double scale() const { return scale_; }
  std::int64_t size() const { return size_; }
  const CpdSpec& spec() const { return spec_; }
  const JobControl& control() const { return control_; }

  // What nls_in_metric measures in; null until set.
  const Metric* metric() const { return metric_ ? &*metric_ : nullptr; }
  void set_metric(Metric metric) { metric_ = std::move(metric); }

  // ½‖T − M‖² from the factors, without cancellation; with `residual`, that becomes T − M.
  double direct_objective(const Factors& factors, PanelMatrix* residual = nullptr);

  // Appends to the trace, reports progress, and throws when the job was cancelled.
  void record(double error, double gradient_norm, double damping, std::int64_t inner_iterations);

  // The tensor is a part of `whole` that holds so much of its squared norm: from here on this one keeps its record,
  // with errors of the whole.
  void continue_record_of(Problem& whole, double part) {
    trace = std::move(whole.trace);
    start_ = whole.start_;
    part_ = part < 1 ? part : 1;
  }

  std::vector<TraceEntry> trace;

 private:
  const double* tensor_;
  double scale_;
  PanelMatrix panels_;
  std::optional<Metric> metric_;
  const CpdSpec& spec_;
  const JobControl& control_;
  std::int64_t size_;
  double part_ = 1;  // of the squared norm of what errors are about
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Tells a run that has settled: over the last kWindow iterations the error fell by less than the tolerance a step. A
// single small step says little: extrapolated ones come in fits.
class SettledTest {
 public:
  SettledTest(double tolerance, double error) : tolerance_(tolerance) { restart(error); }
  // The objective has become another one.
  void restart(double error) {
    errors_.fill(error);
    count_ = 0;
  }
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

// ‖T − M‖² (of ‖T‖ = 1) beyond which factors explain next to nothing of T. As long as they do, a ridge would extinguish
// them: it comes in once they explain more, or at last after so many iterations.
constexpr double kNothing = 0.98;
constexpr std::int64_t kLongestWait = 30;

// Errors below this count as exact: what float64 can tell from zero.
constexpr double kExactError = 1e-13;

}  // namespace polyadic::solver

#include "als.h"

#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"
#include "symmetric_eigen.h"

namespace polyadic::solver {
namespace {

constexpr double kTinyRidge = 1e-14;  // of the largest diagonal entry of Γ
constexpr double kCutoff = 1e-12;     // eigenvalues of Γ below this, relative, are taken as zero
constexpr double kCancelled = 3e-8;   // the error that the recurrence cannot tell from zero
constexpr std::int64_t kFirstExtrapolation = 4;

void solve_by_eigen(std::int64_t rows, std::int64_t rank, Gemm& gemm, const double* k, const double* gamma,
                    double ridge, double* dst) {
  std::vector<double> values, vectors;
  symmetric_eigen(rank, gamma, gemm.control(), values, vectors);
  const double cutoff = kCutoff * std::max(values.back(), 0.0);
  std::vector<double> rotated(static_cast<std::size_t>(rows * rank));
  gemm.multiply(rows, rank, rank, row_major(k, rank), row_major(vectors.data(), rank), rotated.data(), rank);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t r = 0; r < rank; ++r) {
      double& entry = rotated[i * rank + r];
      entry = values[r] > cutoff ? entry / (values[r] + ridge) : 0.0;
    }
  }
  gemm.multiply(rows, rank, rank, row_major(rotated.data(), rank), row_major(vectors.data(), rank).transposed(), dst,
                rank);
}

double largest_diagonal(const std::vector<double>& gamma, std::int64_t rank) {
  double largest = 0;
  for (std::int64_t i = 0; i < rank; ++i) largest = std::max(largest, gamma[i * rank + i]);
  return largest;
}

class Als {
 public:
  Als(Problem& problem, Factors& x)
      : problem_(problem),
        gemm_(problem.gemm),
        x_(x),
        k_(x.dims(), x.rank()),
        gramians_(x),
        gamma_(static_cast<std::size_t>(x.rank() * x.rank())) {}

  StopReason run(const AlsLimits& limits);

 private:
  void update(std::size_t n);
  void sweep();
  double objective(std::size_t n, const Factors& at);  // from K_n; also sets data_
  double penalty(const Factors& at) const { return 0.5 * ridge_ * squared_norm(at.data(), at.size()); }
  bool extrapolate(const Factors& previous, double value, double step);

  Problem& problem_;
  Gemm& gemm_;
  Factors& x_;
  Factors k_;
  Gramians gramians_;
  std::vector<double> gamma_;
  double ridge_ = 0;  // comes in when the factors explain something of T
  double data_ = 0;   // ½‖T − M‖²
};

void Als::update(std::size_t n) {
  gramians_.hadamard_except(n, gamma_.data());
  problem_.mttkrp.contract(gemm_, n, x_, k_.mode(n));
  solve_factor(gemm_, x_.dim(n), x_.rank(), k_.mode(n), gamma_.data(),
               ridge_ + kTinyRidge * largest_diagonal(gamma_, x_.rank()), x_.mode(n));
  gramians_.update_mode(gemm_, x_, n);
}

// Needs the partial product of the left modes.
void Als::sweep() {
  const std::size_t split = problem_.mttkrp.split().split;
  for (std::size_t n = 0; n < split; ++n) update(n);
  problem_.mttkrp.prepare_right(gemm_, problem_.tensor(), x_);
  for (std::size_t n = split; n < x_.order(); ++n) update(n);
}

double Als::objective(std::size_t n, const Factors& at) {
  const double inner = dot(k_.mode(n), at.mode(n), at.dim(n) * at.rank());
  data_ = std::max(0.0, 0.5 * (1.0 - 2.0 * inner + gramians_.model_norm_squared()));
  return data_ + penalty(at);
}

// Goes on along the last change. The partial product made to judge the point is what the next sweep begins with.
bool Als::extrapolate(const Factors& previous, double value, double step) {
  const Factors kept = x_;
  const double kept_data = data_;
  for (std::int64_t i = 0; i < x_.size(); ++i) x_.data()[i] += step * (x_.data()[i] - previous.data()[i]);
  gramians_.update(gemm_, x_);
  problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), x_);
  problem_.mttkrp.contract(gemm_, 0, x_, k_.mode(0));
  if (objective(0, x_) < value) return true;
  x_ = kept;
  data_ = kept_data;
  return false;
}

StopReason Als::run(const AlsLimits& limits) {
  balance(x_);
  gramians_.update(gemm_, x_);
  problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), x_);
  problem_.mttkrp.contract(gemm_, 0, x_, k_.mode(0));
  double value = objective(0, x_);
  SettledTest test(limits.tolerance, std::sqrt(2 * value));
  const auto begin_ridge = [&] {
    if (ridge_ == problem_.spec().ridge) return false;
    ridge_ = problem_.spec().ridge;
    value = data_ + penalty(x_);
    test.restart(std::sqrt(2 * value));
    return true;
  };
  if (2 * data_ < kNothing) begin_ridge();
  double reach = 1;  // of the extrapolation
  for (std::int64_t iteration = 1; iteration <= limits.sweeps; ++iteration) {
    const double before = value;
    const Factors previous = x_;
    sweep();
    value = objective(x_.order() - 1, x_);
    if (!std::isfinite(value)) throw Error(ErrorCode::numeric, "als: the factors have become non-finite; use a ridge");
    balance(x_);
    double step = 0;
    const bool last = iteration == limits.sweeps;
    if (iteration >= kFirstExtrapolation && !last) {
      step = reach * std::cbrt(static_cast<double>(iteration));
      if (extrapolate(previous, value, step)) {
        value = data_ + penalty(x_);
        reach = std::min(reach * 1.2, 4.0);
      } else {
        reach = std::max(reach * 0.5, 0.05);
        step = 0;
      }
    }
    if (step == 0) {
      gramians_.update(gemm_, x_);
      problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), x_);
    }
    const double error = std::sqrt(2 * data_);
    problem_.record(error, std::sqrt(2 * std::max(0.0, before - value)), step, 0);
    if (error < kCancelled) return StopReason::exact;
    if (error < limits.error) return StopReason::converged;
    const bool settled = test.settled(std::sqrt(2 * value));
    const bool is_time = settled || 2 * data_ < kNothing || iteration == kLongestWait;
    if (is_time && begin_ridge()) continue;
    if (settled) return StopReason::converged;
  }
  return StopReason::max_iterations;
}

}  // namespace

void solve_factor(Gemm& gemm, std::int64_t rows, std::int64_t rank, const double* k, const double* gamma, double ridge,
                  double* dst) {
  std::vector<double> lower(gamma, gamma + rank * rank), x(lower.size());
  for (std::int64_t i = 0; i < rank; ++i) lower[i * rank + i] += ridge;
  if (!cholesky_with_inverse(gemm, rank, lower.data(), x.data())) {
    return solve_by_eigen(rows, rank, gemm, k, gamma, ridge, dst);
  }
  // K·(L·Lᵀ)⁻¹ = (K·Xᵀ)·X with X = L⁻¹
  std::vector<double> half(static_cast<std::size_t>(rows * rank));
  gemm.multiply(rows, rank, rank, row_major(k, rank), row_major(x.data(), rank).transposed(), half.data(), rank);
  gemm.multiply(rows, rank, rank, row_major(half.data(), rank), row_major(x.data(), rank), dst, rank);
}

StopReason als(Problem& problem, Factors& factors, const AlsLimits& limits) {
  return Als(problem, factors).run(limits);
}

}  // namespace polyadic::solver

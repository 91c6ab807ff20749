#include "greedy.h"

#include <algorithm>
#include <cmath>

#include "linalg.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kMaxSweeps = 50;
constexpr double kSweepTolerance = 1e-5;  // relative change of the term's weight

// a_n = the fibre along n through the entry of largest magnitude. Returns that magnitude.
double fibres_through_maximum(const std::vector<double>& residual, Factors& term) {
  const auto largest =
      std::max_element(residual.begin(), residual.end(), [](double x, double y) { return std::abs(x) < std::abs(y); });
  std::int64_t index = largest - residual.begin();
  std::int64_t stride = 1;
  for (std::size_t n = term.order(); n-- > 0;) {
    const std::int64_t dim = term.dim(n);
    const std::int64_t own = index / stride % dim;
    const double* fibre = residual.data() + index - own * stride;
    for (std::int64_t i = 0; i < dim; ++i) term.mode(n)[i] = fibre[i * stride];
    stride *= dim;
  }
  return std::abs(*largest);
}

// One mode of rank-one ALS: a_n ← K_n with the others of norm 1, then norm 1 itself. Returns its norm: the weight.
double update(Gemm& gemm, Mttkrp& mttkrp, std::size_t n, Factors& term) {
  mttkrp.contract(gemm, n, term, term.mode(n));
  const double weight = std::sqrt(squared_norm(term.mode(n), term.dim(n)));
  if (weight > 0) {
    for (std::int64_t i = 0; i < term.dim(n); ++i) term.mode(n)[i] /= weight;
  }
  return weight;
}

}  // namespace

RankOne best_rank_one(Gemm& gemm, Mttkrp& mttkrp, const std::vector<double>& tensor, std::int64_t most_sweeps,
                      Factors& term) {
  if (fibres_through_maximum(tensor, term) < kExactError) return {0, 0};
  for (std::size_t n = 0; n < term.order(); ++n) {
    const double norm = std::sqrt(squared_norm(term.mode(n), term.dim(n)));
    for (std::int64_t i = 0; i < term.dim(n); ++i) term.mode(n)[i] /= norm;
  }
  double weight = 0;
  const std::size_t split = mttkrp.split().split;
  const std::int64_t sweeps = std::min(kMaxSweeps, most_sweeps);
  for (std::int64_t sweep = 1; sweep <= sweeps; ++sweep) {
    const double before = weight;
    mttkrp.prepare_left(gemm, tensor.data(), term);
    for (std::size_t n = 0; n < split; ++n) weight = update(gemm, mttkrp, n, term);
    mttkrp.prepare_right(gemm, tensor.data(), term);
    for (std::size_t n = split; n < term.order(); ++n) weight = update(gemm, mttkrp, n, term);
    if (!(weight > 0) || weight - before <= kSweepTolerance * weight) return {weight, sweep};
  }
  return {weight, sweeps};
}

StopReason greedy(Problem& problem, Factors& factors) {
  const std::int64_t rank = factors.rank();
  std::vector<double> residual(problem.raw(), problem.raw() + problem.size());
  for (double& entry : residual) entry *= problem.scale();
  Mttkrp mttkrp(factors.dims(), 1);
  Factors term(factors.dims(), 1);
  factors.fill(0);
  for (std::int64_t r = 0; r < rank; ++r) {
    const auto [weight, sweeps] = best_rank_one(problem.gemm, mttkrp, residual, problem.spec().max_iterations, term);
    if (sweeps == 0) return StopReason::exact;
    if (!(weight > 0)) return StopReason::stalled;
    const double share = std::pow(weight, 1.0 / static_cast<double>(factors.order()));
    for (std::size_t n = 0; n < factors.order(); ++n) {
      for (std::int64_t i = 0; i < factors.dim(n); ++i) {
        term.mode(n)[i] *= share;
        factors.mode(n)[i * rank + r] = term.mode(n)[i];
      }
    }
    mttkrp.subtract_model(problem.gemm, term, residual.data());
    problem.record(std::sqrt(squared_norm(residual.data(), problem.size())), 0, 0, sweeps);
  }
  return StopReason::converged;
}

}  // namespace polyadic::solver

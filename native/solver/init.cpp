#include "init.h"

#include <algorithm>
#include <cmath>

#include "gevd.h"
#include "gramian.h"
#include "linalg.h"
#include "multilinear.h"
#include "random.h"

namespace polyadic::solver {
namespace {

Factors random_factors(const CpdSpec& spec) {
  Factors factors(spec.dims, spec.rank);
  Random random(spec.seed);
  for (std::int64_t i = 0; i < factors.size(); ++i) factors.data()[i] = random.normal();
  return factors;
}

Factors svd_factors(Problem& problem) {
  const CpdSpec& spec = problem.spec();
  Factors factors = random_factors(spec);
  for (std::size_t n = 0; n < factors.order(); ++n) {
    const std::int64_t dim = spec.dims[n];
    const std::int64_t count = std::min(dim, spec.rank);
    const std::vector<double> vectors = leading_subspace(problem.gemm, problem.raw(), spec.dims, n, count);
    const double shrink = 1.0 / std::sqrt(static_cast<double>(dim));
    double* a = factors.mode(n);
    for (std::int64_t i = 0; i < dim; ++i) {
      for (std::int64_t r = 0; r < spec.rank; ++r) {
        double& entry = a[i * spec.rank + r];
        entry = r < count ? vectors[i * count + r] : shrink * entry;
      }
    }
  }
  return factors;
}

Factors seeded_factors(Problem& problem) {
  if (problem.spec().init == Init::random) return random_factors(problem.spec());
  if (problem.spec().init == Init::svd) return svd_factors(problem);
  Factors factors = gevd_factors(problem);
  return factors.order() > 0 ? factors : svd_factors(problem);
}

// Multiplies the model by ⟨T, M⟩/‖M‖², spread over the modes; the sign goes to the first one.
void rescale(Problem& problem, Factors& factors) {
  Factors k(factors.dims(), factors.rank());
  problem.mttkrp.prepare_left(problem.gemm, problem.tensor(), factors);
  problem.mttkrp.contract(problem.gemm, 0, factors, k.mode(0));
  const double inner = dot(k.mode(0), factors.mode(0), factors.dim(0) * factors.rank());
  Gramians gramians(factors);
  gramians.update(problem.gemm, factors);
  const double norm = gramians.model_norm_squared();
  if (!(norm > 0)) return;
  // Never so small that the start is the saddle at zero.
  const double scale = std::max(std::abs(inner) / norm, 1e-4 / std::sqrt(norm));
  const double root = std::pow(scale, 1.0 / static_cast<double>(factors.order()));
  for (std::int64_t i = 0; i < factors.size(); ++i) factors.data()[i] *= root;
  if (inner < 0) {
    for (std::int64_t i = 0; i < factors.dim(0) * factors.rank(); ++i) factors.mode(0)[i] = -factors.mode(0)[i];
  }
}

}  // namespace

Factors initial_factors(Problem& problem) {
  const CpdSpec& spec = problem.spec();
  if (spec.init == Init::given) {
    Factors factors(spec.dims, spec.rank);
    for (std::size_t n = 0; n < factors.order(); ++n) {
      std::copy(spec.given[n].begin(), spec.given[n].end(), factors.mode(n));
    }
    return factors;
  }
  Factors factors = seeded_factors(problem);
  rescale(problem, factors);
  return factors;
}

void lift(Gemm& gemm, Factors& factors) {
  constexpr double kNorm = 0.3;
  Gramians gramians(factors);
  gramians.update(gemm, factors);
  const double norm = std::sqrt(std::max(0.0, gramians.model_norm_squared()));
  if (!(norm > 0) || norm > kNorm) return;
  const double share = std::pow(kNorm / norm, 1.0 / static_cast<double>(factors.order()));
  for (std::int64_t i = 0; i < factors.size(); ++i) factors.data()[i] *= share;
}

}  // namespace polyadic::solver

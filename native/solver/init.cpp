#include "init.h"

#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"
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
    problem.control().check();
    const std::int64_t dim = spec.dims[n];
    const std::int64_t count = std::min(dim, spec.rank);
    const std::vector<double> gram = unfolding_gram(problem.gemm, problem.raw(), spec.dims, n);
    const std::vector<double> vectors = leading_eigenvectors(problem.gemm, dim, gram.data(), count);
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

std::vector<double> unfolding_gram(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                   std::size_t n) {
  const std::int64_t dim = dims[n];
  const std::int64_t outer = product(dims, 0, n);
  const std::int64_t inner = product(dims, n + 1, dims.size());
  std::vector<double> gram(static_cast<std::size_t>(dim * dim), 0.0);
  if (inner == 1) {
    const Strided a = row_major(tensor, dim);
    gemm.multiply(dim, dim, outer, a.transposed(), a, gram.data(), dim);
    return gram;
  }
  for (std::int64_t o = 0; o < outer; ++o) {
    const Strided slab = row_major(tensor + o * dim * inner, inner);
    gemm.multiply(dim, dim, inner, slab, slab.transposed(), gram.data(), dim, true);
  }
  return gram;
}

Factors initial_factors(Problem& problem) {
  const CpdSpec& spec = problem.spec();
  if (spec.init == Init::given) {
    Factors factors(spec.dims, spec.rank);
    for (std::size_t n = 0; n < factors.order(); ++n) {
      std::copy(spec.given[n].begin(), spec.given[n].end(), factors.mode(n));
    }
    return factors;
  }
  Factors factors = spec.init == Init::svd ? svd_factors(problem) : random_factors(spec);
  rescale(problem, factors);
  return factors;
}

}  // namespace polyadic::solver

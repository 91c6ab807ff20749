#include "tucker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "init.h"
#include "linalg.h"
#include "multilinear.h"
#include "nls.h"

namespace polyadic::solver {
namespace {

constexpr double kSmaller = 0.15;        // of the tensor's size: a core that pays
constexpr double kWorth = 0.8;           // of ‖T‖² must be in it: else the iterations on T have all to do again
constexpr double kLoosest = 1e-4;        // tolerance of the iterations on the core: they need not converge
constexpr std::int64_t kMostSteps = 50;  // of them

// Length of the core along a mode: as much as R components can span.
std::int64_t core_width(std::int64_t dim, std::int64_t rank) { return std::min(dim, rank); }

struct Core {
  std::vector<std::int64_t> dims;
  std::vector<double> data;
  std::vector<std::vector<double>> bases;  // I_n×J_n with orthonormal columns; empty where the mode keeps its length
  double part = 1;                         // of ‖T‖²
};

double energy(const std::vector<double>& data) {
  return squared_norm(data.data(), static_cast<std::int64_t>(data.size()));
}

// Mode by mode from the shortest that is shortened, each subspace that of what the modes before have left (sequentially
// truncated). Ends early, with a part of the work done, when too little of T is left.
Core core_of(Problem& problem) {
  const std::int64_t rank = problem.spec().rank;
  Core core{problem.spec().dims, {}, {}};
  core.bases.resize(core.dims.size());
  std::vector<std::size_t> modes(core.dims.size());
  std::iota(modes.begin(), modes.end(), 0);
  std::stable_sort(modes.begin(), modes.end(),
                   [&](std::size_t a, std::size_t b) { return core.dims[a] < core.dims[b]; });
  for (const std::size_t n : modes) {
    const std::int64_t width = core_width(core.dims[n], rank);
    if (width == core.dims[n]) continue;
    const double* from = core.data.empty() ? problem.raw() : core.data.data();
    core.bases[n] = leading_subspace(problem.gemm, from, core.dims, n, width);
    core.data = mode_product(problem.gemm, from, core.dims, n, core.bases[n]);
    core.dims[n] = width;
    core.part = energy(core.data) * problem.scale() * problem.scale();
    if (core.part < kWorth) break;
  }
  return core;
}

}  // namespace

bool compression_pays(const std::vector<std::int64_t>& dims, std::int64_t rank) {
  if (dims.size() < 3) return false;
  double share = 1;
  for (const std::int64_t dim : dims) share *= static_cast<double>(core_width(dim, rank)) / static_cast<double>(dim);
  return share < kSmaller;
}

bool nls_on_core(Problem& problem, Factors& factors) {
  const Core core = core_of(problem);
  if (core.part < kWorth) return false;
  const double norm = std::sqrt(energy(core.data));
  CpdSpec spec = problem.spec();
  spec.dims = core.dims;
  spec.tolerance = std::max(spec.tolerance, kLoosest);
  spec.max_iterations = std::min(spec.max_iterations, kMostSteps);
  Problem small(core.data.data(), 1 / norm, spec, problem.control());
  small.continue_record_of(problem, core.part);
  Factors inner(core.dims, factors.rank());
  const std::int64_t rank = factors.rank();
  const double share = std::pow(core.part, 0.5 / static_cast<double>(factors.order()));
  for (std::size_t n = 0; n < factors.order(); ++n) {
    const Strided from = row_major(factors.mode(n), rank);
    const std::vector<double>& basis = core.bases[n];
    if (basis.empty()) {
      std::copy_n(factors.mode(n), factors.dim(n) * rank, inner.mode(n));
    } else {
      problem.gemm.multiply(core.dims[n], rank, factors.dim(n), row_major(basis.data(), core.dims[n]).transposed(),
                            from, inner.mode(n), rank);
    }
    for (std::int64_t i = 0; i < core.dims[n] * rank; ++i) inner.mode(n)[i] /= share;
  }
  lift(small.gemm, inner);
  nls(small, inner);
  for (std::size_t n = 0; n < factors.order(); ++n) {
    for (std::int64_t i = 0; i < core.dims[n] * rank; ++i) inner.mode(n)[i] *= share;
    const std::vector<double>& basis = core.bases[n];
    if (basis.empty()) {
      std::copy_n(inner.mode(n), factors.dim(n) * rank, factors.mode(n));
    } else {
      problem.gemm.multiply(factors.dim(n), rank, core.dims[n], row_major(basis.data(), core.dims[n]),
                            row_major(inner.mode(n), rank), factors.mode(n), rank);
    }
  }
  problem.trace = std::move(small.trace);
  return true;
}

}  // namespace polyadic::solver

// With T reduced to R×R×K (the two longest modes p and q in their leading subspaces, all others as one), every slice is
// A·diag(c)·Bᵀ. Two of them, S and S', give S'·S⁻¹ = A·diag(c'/c)·A⁻¹: eigenvectors are the columns of A, and the rows
// of A⁻¹·T_(p) are tensors of rank one that hold all other factors (Harshman 1970; Sanchez and Kowalski 1990). The two
// slices are those of most energy, so that noise is averaged over all.
#include "gevd.h"

#include <algorithm>
#include <cmath>

#include "general_eigen.h"
#include "greedy.h"
#include "linalg.h"
#include "multilinear.h"
#include "random.h"

namespace polyadic::solver {
namespace {

constexpr int kRounds = 12;  // of subspace iteration for two directions
constexpr int kSweeps = 20;  // of a rank-one fit

struct LongestModes {
  std::size_t p, q;
};

LongestModes longest_modes(const std::vector<std::int64_t>& dims) {
  LongestModes longest{0, 1};
  if (dims[1] > dims[0]) std::swap(longest.p, longest.q);
  for (std::size_t n = 2; n < dims.size(); ++n) {
    if (dims[n] > dims[longest.p]) {
      longest = {n, longest.p};
    } else if (dims[n] > dims[longest.q]) {
      longest.q = n;
    }
  }
  return longest;
}

// The core with its mode p first, q second and all others as one behind: R×R×K.
std::vector<double> arranged(const std::vector<double>& core, const std::vector<std::int64_t>& dims,
                             LongestModes modes) {
  std::vector<std::int64_t> strides(dims.size(), 1);
  for (std::size_t n = dims.size() - 1; n-- > 0;) strides[n] = strides[n + 1] * dims[n + 1];
  const std::int64_t slices = product(dims, 0, dims.size()) / dims[modes.p] / dims[modes.q];
  std::vector<double> result(core.size());
  for (std::int64_t k = 0; k < slices; ++k) {
    std::int64_t rest = k, offset = 0;
    for (std::size_t n = dims.size(); n-- > 0;) {
      if (n == modes.p || n == modes.q) continue;
      offset += rest % dims[n] * strides[n];
      rest /= dims[n];
    }
    for (std::int64_t i = 0; i < dims[modes.p]; ++i) {
      for (std::int64_t j = 0; j < dims[modes.q]; ++j) {
        result[static_cast<std::size_t>((i * dims[modes.q] + j) * slices + k)] =
            core[static_cast<std::size_t>(offset + i * strides[modes.p] + j * strides[modes.q])];
      }
    }
  }
  return result;
}

// Two combinations of the slices of c (rows×K), those of most energy: rows×2.
std::vector<double> leading_slices(Gemm& gemm, const std::vector<double>& c, std::int64_t slices, std::uint64_t seed) {
  const std::int64_t rows = static_cast<std::int64_t>(c.size()) / slices;
  std::vector<double> v(static_cast<std::size_t>(2 * slices)), result(static_cast<std::size_t>(2 * rows));
  Random random(seed);
  for (double& entry : v) entry = random.normal();
  const Strided matrix = row_major(c.data(), slices);
  for (int round = 0; round < kRounds; ++round) {
    for (int column = 0; column < 2; ++column) {
      double before = 0, norm = 0;
      for (std::int64_t k = 0; column > 0 && k < slices; ++k) before += v[2 * k] * v[2 * k + 1];
      for (std::int64_t k = 0; k < slices; ++k) {
        double& entry = v[2 * k + column];
        if (column > 0) entry -= before * v[2 * k];
        norm += entry * entry;
      }
      norm = std::sqrt(norm);
      for (std::int64_t k = 0; k < slices; ++k) v[2 * k + column] /= norm > 0 ? norm : 1;
    }
    gemm.multiply(rows, 2, slices, matrix, row_major(v.data(), 2), result.data(), 2);
    if (round + 1 < kRounds)
      gemm.multiply(slices, 2, rows, matrix.transposed(), row_major(result.data(), 2), v.data(), 2);
  }
  return result;
}

// R×R eigenvectors of S'·S⁻¹; empty where there are none.
std::vector<double> pencil_vectors(const std::vector<double>& slices, std::int64_t rank, const JobControl& control) {
  const auto square = static_cast<std::size_t>(rank * rank);
  // (S'·S⁻¹)ᵀ = S⁻ᵀ·S'ᵀ
  std::vector<double> a(square), b(square), pencil(square);
  for (std::int64_t i = 0; i < rank; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) {
      a[j * rank + i] = slices[2 * (i * rank + j)];
      b[j * rank + i] = slices[2 * (i * rank + j) + 1];
    }
  }
  if (!solve_general(rank, a, rank, b, control)) return {};
  for (std::int64_t i = 0; i < rank; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) pencil[i * rank + j] = b[j * rank + i];
  }
  return real_eigenvectors(rank, pencil.data(), control);
}

}  // namespace

bool gevd_applies(const std::vector<std::int64_t>& dims, std::int64_t rank) {
  if (dims.size() < 3) return false;
  const LongestModes modes = longest_modes(dims);
  return dims[modes.q] >= rank && product(dims, 0, dims.size()) > dims[modes.p] * dims[modes.q];
}

Factors gevd_factors(Problem& problem) {
  Gemm& gemm = problem.gemm;
  const CpdSpec& spec = problem.spec();
  const std::int64_t rank = spec.rank;
  const LongestModes modes = longest_modes(spec.dims);
  std::vector<std::int64_t> dims = spec.dims;
  std::vector<double> bases[2], core;
  for (const std::size_t n : {modes.p, modes.q}) {
    std::vector<double>& basis = bases[n == modes.q];
    basis = leading_subspace(gemm, problem.raw(), spec.dims, n, rank);
    core = mode_product(gemm, core.empty() ? problem.raw() : core.data(), dims, n, basis);
    dims[n] = rank;
  }
  for (double& entry : core) entry *= problem.scale();
  core = arranged(core, dims, modes);
  const std::int64_t slices = static_cast<std::int64_t>(core.size()) / rank / rank;
  const std::vector<double> vectors =
      pencil_vectors(leading_slices(gemm, core, slices, spec.seed + 1), rank, problem.control());
  std::vector<double> lower = vectors;
  if (vectors.empty() || !solve_general(rank, lower, rank * slices, core, problem.control())) return {};

  // core now holds A⁻¹·T_(p), a tensor of the other modes a row: q, then the rest in order.
  std::vector<std::int64_t> row_dims{rank};
  std::vector<std::size_t> row_modes{modes.q};
  for (std::size_t n = 0; n < dims.size(); ++n) {
    if (n == modes.p || n == modes.q) continue;
    row_dims.push_back(dims[n]);
    row_modes.push_back(n);
  }
  Factors factors(spec.dims, rank), term(row_dims, 1);
  gemm.multiply(spec.dims[modes.p], rank, rank, row_major(bases[0].data(), rank), row_major(vectors.data(), rank),
                factors.mode(modes.p), rank);
  Mttkrp mttkrp(row_dims, 1);
  std::vector<double> row(static_cast<std::size_t>(rank * slices)), b(static_cast<std::size_t>(rank * rank));
  for (std::int64_t r = 0; r < rank; ++r) {
    std::copy_n(core.begin() + r * rank * slices, rank * slices, row.begin());
    const double weight = best_rank_one(gemm, mttkrp, row, kSweeps, term).weight;
    for (std::size_t m = 0; m < row_dims.size(); ++m) {
      for (std::int64_t i = 0; i < row_dims[m]; ++i) {
        const double entry = (m == 0 ? weight : 1.0) * term.mode(m)[i];
        (m == 0 ? b.data() : factors.mode(row_modes[m]))[i * rank + r] = weight > 0 ? entry : 0.0;
      }
    }
  }
  gemm.multiply(spec.dims[modes.q], rank, rank, row_major(bases[1].data(), rank), row_major(b.data(), rank),
                factors.mode(modes.q), rank);
  return factors;
}

}  // namespace polyadic::solver

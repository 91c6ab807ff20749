#include "multilinear.h"

#include <algorithm>

#include "linalg.h"
#include "tensor_view.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kStretch = 2048;  // of a Gram matrix's depth at a time: what is packed of it stays small
constexpr std::int64_t kShort = 8;       // a mode so short that a tile of a matrix product would be mostly padding

// gram (dim×dim) = Σ_o slab·slabᵀ over the dim×inner slabs.
void gram_of_short_mode(const Gemm& gemm, const double* tensor, std::int64_t outer, std::int64_t dim,
                        std::int64_t inner, std::vector<double>& gram) {
  for (std::int64_t o = 0; o < outer; ++o) {
    if (o % kStretch == 0) gemm.control().check();
    const double* slab = tensor + o * dim * inner;
    for (std::int64_t i = 0; i < dim; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) gram[i * dim + j] += dot(slab + i * inner, slab + j * inner, inner);
    }
  }
  for (std::int64_t i = 0; i < dim; ++i) {
    for (std::int64_t j = 0; j < i; ++j) gram[j * dim + i] = gram[i * dim + j];
  }
}

}  // namespace

std::vector<double> mode_product(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims, std::size_t n,
                                 const std::vector<double>& u) {
  const std::int64_t dim = dims[n], outer = product(dims, 0, n), inner = product(dims, n + 1, dims.size());
  const std::int64_t width = static_cast<std::int64_t>(u.size()) / dim;
  const Strided matrix = row_major(u.data(), width);
  std::vector<double> result(static_cast<std::size_t>(outer * width * inner));
  if (inner == 1) {
    gemm.multiply(outer, width, dim, row_major(tensor, dim), matrix, result.data(), width);
    return result;
  }
  for (std::int64_t o = 0; o < outer; ++o) {
    gemm.multiply(width, inner, dim, matrix.transposed(), row_major(tensor + o * dim * inner, inner),
                  result.data() + o * width * inner, inner);
  }
  return result;
}

std::vector<double> unfolding_gram(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                   std::size_t n) {
  const std::int64_t dim = dims[n];
  const std::int64_t outer = product(dims, 0, n);
  const std::int64_t inner = product(dims, n + 1, dims.size());
  std::vector<double> gram(static_cast<std::size_t>(dim * dim), 0.0);
  if (dim <= kShort) {
    gram_of_short_mode(gemm, tensor, outer, dim, inner, gram);
  } else if (inner == 1) {
    for (std::int64_t begin = 0; begin < outer; begin += kStretch) {
      const Strided a = row_major(tensor + begin * dim, dim);
      gemm.multiply(dim, dim, std::min(kStretch, outer - begin), a.transposed(), a, gram.data(), dim, true);
    }
  } else {
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t begin = 0; begin < inner; begin += kStretch) {
        const Strided slab = row_major(tensor + o * dim * inner + begin, inner);
        gemm.multiply(dim, dim, std::min(kStretch, inner - begin), slab, slab.transposed(), gram.data(), dim, true);
      }
    }
  }
  return gram;
}

std::vector<double> leading_subspace(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                     std::size_t n, std::int64_t count) {
  const std::vector<double> gram = unfolding_gram(gemm, tensor, dims, n);
  return leading_eigenvectors(gemm, dims[n], gram.data(), count);
}

}  // namespace polyadic::solver

#include "multilinear.h"

#include "linalg.h"
#include "tensor_view.h"

namespace polyadic::solver {

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

std::vector<double> leading_subspace(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                     std::size_t n, std::int64_t count) {
  const std::vector<double> gram = unfolding_gram(gemm, tensor, dims, n);
  return leading_eigenvectors(gemm, dims[n], gram.data(), count);
}

}  // namespace polyadic::solver

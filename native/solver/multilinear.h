// Products of a tensor with a matrix along one mode, and the bases in which little of it is lost.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"
#include "linalg.h"

namespace polyadic::solver {

// T ×_n Uᵀ for a tensor of shape `dims` (row-major) and U, I_n×J: its mode n becomes J long.
std::vector<double> mode_product(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims, std::size_t n,
                                 const std::vector<double>& u);

// T_(n)·T_(n)ᵀ, I_n×I_n, of the tensor's unfolding along mode n, which is not copied.
std::vector<double> unfolding_gram(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                   std::size_t n);

// The `count` leading left singular vectors of that unfolding, I_n×count.
std::vector<double> leading_subspace(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                     std::size_t n, std::int64_t count, Accuracy accuracy = Accuracy::full);

}  // namespace polyadic::solver

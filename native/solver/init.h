// Starting factors.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// random: normal columns. svd: leading left singular vectors of each unfolding, filled up with random columns when
// R > I_n. given: the caller's. All but the given ones are rescaled by the scalar that fits T best.
Factors initial_factors(Problem& problem);

// T(i, …)·T(j, …)ᵀ: the I_n×I_n Gram matrix of the mode-n unfolding of a row-major tensor, slab by slab.
std::vector<double> unfolding_gram(Gemm& gemm, const double* tensor, const std::vector<std::int64_t>& dims,
                                   std::size_t n);

}  // namespace polyadic::solver

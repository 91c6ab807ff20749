// Initial factors from a generalised eigenvalue problem: exact for a tensor of exactly that rank, where it applies.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// The two longest modes have at least R entries, and there is more than one slice of them.
bool gevd_applies(const std::vector<std::int64_t>& dims, std::int64_t rank);

// Factors whose columns are not scaled; empty (order 0) where the two slices are singular or have no eigenvectors.
Factors gevd_factors(Problem& problem);

}  // namespace polyadic::solver

// A start on a smaller tensor: T in the leading subspaces of its unfoldings (its Tucker core), where modes are much
// longer than the rank needs.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// The core is so much smaller than the tensor that iterating on it first costs little.
bool compression_pays(const std::vector<std::int64_t>& dims, std::int64_t rank);

// Improves `factors` on the core and brings them back; what is left to do is to refine them on the whole tensor. The
// iterations are recorded in problem.trace, with errors of the whole tensor.
void nls_on_core(Problem& problem, Factors& factors);

}  // namespace polyadic::solver

// R times the best rank-one term of what is left: the baseline that NLS is there to beat.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// Ignores the initial values: each term starts from the fibres through the largest entry of the residual.
StopReason greedy(Problem& problem, Factors& factors);

}  // namespace polyadic::solver

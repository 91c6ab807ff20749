// Starting factors.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// random: normal columns. svd: leading left singular vectors of each unfolding, filled up with random columns when
// R > I_n. gevd: see gevd.h; svd where that finds none. given: the caller's. All but the given ones are rescaled by the
// scalar that fits T best.
Factors initial_factors(Problem& problem);

// Random factors scaled to fit are nearly zero, a saddle that takes many steps to leave: their model gets a norm of 0.3
// (of ‖T‖ = 1) at least. A linear sweep would lead away as well, but on trained kernels to worse minima.
void lift(Gemm& gemm, Factors& factors);

}  // namespace polyadic::solver

// How stable a decomposition is, and the error-preserving correction that makes it more stable.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// Σ_n I_n Σ_r Π_{m≠n} ‖a_m,r‖²: the expected squared change of the model for unit i.i.d. noise on the factors
// (Phan et al. 2020, "Stable low-rank tensor decomposition for compression of convolutional neural network").
double sensitivity(const Factors& factors);
// The largest |Π_n cos(a_n,r, a_n,s)| of two components; 0 when there are fewer than two.
double congruence(Gemm& gemm, const Factors& factors);
// Σ_r λ_r², λ_r = Π_n ‖a_n,r‖
double component_norm(const Factors& factors);

// Minimises the sensitivity while ‖T − M‖ stays at or below `allowed` (for ‖T‖ = 1); the error is `error` now.
void correct(Problem& problem, Factors& factors, double error, double allowed);

}  // namespace polyadic::solver

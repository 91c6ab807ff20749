// How much faster a gradient step on the factors moves their model than the same step on the model would.
#pragma once

#include "gemm64.h"
#include "tensor_view.h"

namespace polyadic::solver {

// The largest eigenvalue of JᵀJ, J the derivative of the model by all factors: a gradient G of the model becomes
// Jᵀvec(G) of the factors, and a step along it moves the model by J·Jᵀvec(G), up to so many times G. By Lanczos'
// iteration from a random start, without keeping its vectors (those that come again change no largest eigenvalue), to
// about 1 %, from below. 0 for factors of zeros; infinite where they are not finite, or overflow. The same for any
// number of threads.
double stiffness(Gemm& gemm, const Factors& factors);

}  // namespace polyadic::solver

// Alternating least squares with extrapolation: a baseline.
#pragma once

#include "problem.h"

namespace polyadic::solver {

StopReason als(Problem& problem, Factors& factors);

// One sweep over all modes without extrapolation, damped a little and without the ridge: a start for NLS.
void als_sweep(Problem& problem, Factors& factors);

// dst (rows×R) = k·(gamma + ridge·I)⁻¹: by Cholesky, and by the pseudo-inverse when that fails.
void solve_factor(Gemm& gemm, std::int64_t rows, std::int64_t rank, const double* k, const double* gamma, double ridge,
                  double* dst);

}  // namespace polyadic::solver

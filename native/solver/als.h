// Alternating least squares with extrapolation.
#pragma once

#include "problem.h"

namespace polyadic::solver {

struct AlsLimits {
  std::int64_t sweeps;
  double tolerance;  // the mean relative change of the error a sweep at which it has converged
  double error;      // at which it may end as well
};

StopReason als(Problem& problem, Factors& factors, const AlsLimits& limits);

// dst (rows×R) = k·(gamma + ridge·I)⁻¹: by Cholesky, and by the pseudo-inverse when that fails.
void solve_factor(Gemm& gemm, std::int64_t rows, std::int64_t rank, const double* k, const double* gamma, double ridge,
                  double* dst);

}  // namespace polyadic::solver

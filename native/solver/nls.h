// Non-linear least squares: Levenberg–Marquardt over a Jacobian that is never formed, with preconditioned CG inside.
#pragma once

#include "problem.h"

namespace polyadic::solver {

// Improves `factors` until it converges; the run is recorded in problem.trace.
StopReason nls(Problem& problem, Factors& factors);

// The same in the norm of problem.metric().
StopReason nls_in_metric(Problem& problem, Factors& factors);

// The gradient of ½‖T − M‖² + ½γΣ‖A_n‖², for tests.
Factors nls_gradient(Problem& problem, const Factors& factors);

}  // namespace polyadic::solver

#include "problem.h"

#include <cmath>

namespace polyadic::solver {

double Problem::direct_objective(const Factors& factors, PanelMatrix* residual) {
  if (residual && residual->empty()) *residual = tensor();
  return 0.5 * mttkrp.residual(gemm, tensor(), factors, residual);
}

void Problem::record(double error, double gradient_norm, double damping, std::int64_t inner_iterations) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  if (part_ < 1) error = std::sqrt(1 - part_ + part_ * error * error);
  trace.push_back({error, gradient_norm, damping, inner_iterations, elapsed.count()});
  control_.progress(static_cast<std::int64_t>(trace.size()), error);
  control_.check();
}

}  // namespace polyadic::solver

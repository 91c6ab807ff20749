#include "problem.h"

#include <algorithm>

#include "linalg.h"

namespace polyadic::solver {

double Problem::direct_objective(const Factors& factors, std::vector<double>& residual) {
  residual.resize(static_cast<std::size_t>(size_));
  std::copy_n(tensor_, size_, residual.begin());
  mttkrp.subtract_model(gemm, factors, residual.data());
  return 0.5 * squared_norm(residual.data(), size_);
}

void Problem::mttkrp_all(const Factors& factors, Factors& dst) {
  mttkrp.prepare_left(gemm, tensor_, factors);
  mttkrp.prepare_right(gemm, tensor_, factors);
  for (std::size_t n = 0; n < factors.order(); ++n) mttkrp.contract(gemm, n, factors, dst.mode(n));
}

void Problem::record(double error, double gradient_norm, double damping, std::int64_t inner_iterations) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  trace.push_back({error, gradient_norm, damping, inner_iterations, elapsed.count()});
  control_.progress(static_cast<std::int64_t>(trace.size()), error);
  control_.check();
}

}  // namespace polyadic::solver

#include "stiffness.h"

#include <cmath>

#include "gramian.h"
#include "linalg.h"
#include "random.h"

namespace polyadic::solver {
namespace {

constexpr int kMostIterations = 200;
constexpr double kSettled = 1e-4;  // relative growth of the estimate in an iteration

}  // namespace

double stiffness(Gemm& gemm, const Factors& factors) {
  Gramians gramians(factors);
  gramians.update(gemm, factors);
  gramians.prepare(gemm, factors);
  Factors direction(factors.dims(), factors.rank()), image(factors.dims(), factors.rank());
  Random random(0);
  for (std::int64_t i = 0; i < direction.size(); ++i) direction.data()[i] = random.normal();
  double estimate = 0;
  for (int iteration = 0; iteration < kMostIterations; ++iteration) {
    const double norm = std::sqrt(dot(direction.data(), direction.data(), direction.size()));
    if (!(norm > 0 && std::isfinite(norm))) return norm;
    for (std::int64_t i = 0; i < direction.size(); ++i) direction.data()[i] /= norm;
    gramians.jacobian_product(gemm, factors, direction, image);
    const double quotient = dot(direction.data(), image.data(), direction.size());
    if (!std::isfinite(quotient)) return quotient;
    std::swap(direction, image);
    if (iteration > 0 && quotient - estimate <= kSettled * quotient) return quotient;
    estimate = quotient;
  }
  return estimate;
}

}  // namespace polyadic::solver

#include "stiffness.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "gramian.h"
#include "linalg.h"
#include "random.h"
#include "symmetric_eigen.h"

namespace polyadic::solver {
namespace {

constexpr int kLeastSteps = 20, kMostSteps = 100, kBetweenLooks = 5;
constexpr double kSettled = 1e-3;      // relative growth of the estimate from look to look
constexpr double kNegligible = 1e-12;  // of what the matrix does, outside of the subspace so far

// Of the symmetric tridiagonal matrix with this diagonal and these entries beside it.
double largest_eigenvalue(const std::vector<double>& diagonal, const std::vector<double>& beside,
                          const JobControl& control) {
  const std::size_t n = diagonal.size();
  std::vector<double> matrix(n * n, 0.0), values, vectors;
  for (std::size_t i = 0; i < n; ++i) {
    matrix[i * n + i] = diagonal[i];
    if (i + 1 < n) matrix[i * n + i + 1] = matrix[(i + 1) * n + i] = beside[i];
  }
  symmetric_eigen(static_cast<std::int64_t>(n), matrix.data(), control, values, vectors);
  return values.back();
}

}  // namespace

double stiffness(Gemm& gemm, const Factors& factors) {
  Gramians gramians(factors);
  gramians.update(gemm, factors);
  gramians.prepare(gemm, factors);
  Factors before(factors.dims(), factors.rank()), now = before, image = before;
  const std::int64_t size = now.size();
  Random random(0);
  for (std::int64_t i = 0; i < size; ++i) now.data()[i] = random.normal();
  const double length = std::sqrt(squared_norm(now.data(), size));
  for (std::int64_t i = 0; i < size; ++i) now.data()[i] /= length;
  std::vector<double> diagonal, beside;
  double estimate = 0, scale = 0;
  for (int step = 1; step <= kMostSteps; ++step) {
    gramians.jacobian_product(gemm, factors, now, image);
    diagonal.push_back(dot(now.data(), image.data(), size));
    add_scaled(-diagonal.back(), now.data(), image.data(), size);
    if (!beside.empty()) add_scaled(-beside.back(), before.data(), image.data(), size);
    const double rest = std::sqrt(squared_norm(image.data(), size));
    if (!std::isfinite(diagonal.back()) || !std::isfinite(rest)) return HUGE_VAL;
    scale = std::max(scale, diagonal.back() + rest);
    const bool is_whole = rest <= kNegligible * scale;  // the subspace holds all that the start has a part in
    if (is_whole || step % kBetweenLooks == 0) {
      const double now_largest = largest_eigenvalue(diagonal, beside, gemm.control());
      const bool has_settled = step > kLeastSteps && now_largest - estimate <= kSettled * now_largest;
      estimate = now_largest;
      if (is_whole || has_settled) break;
    }
    beside.push_back(rest);
    std::swap(before, now);
    std::swap(now, image);
    for (std::int64_t i = 0; i < size; ++i) now.data()[i] /= rest;
  }
  return estimate;
}

}  // namespace polyadic::solver

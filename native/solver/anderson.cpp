#include "anderson.h"

#include <algorithm>
#include <cmath>

#include "linalg.h"

namespace polyadic::solver {
namespace {

constexpr double kRegular = 1e-8;  // of the trace of the normal matrix: old differences are nearly dependent

// Solves the small system a·x = b in place by Cholesky; a: n×n row-major. False when a is not positive definite.
bool solve_small(int n, std::vector<double>& a, std::vector<double>& b) {
  for (int j = 0; j < n; ++j) {
    for (int i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (int k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0)) return false;
        a[j * n + j] = std::sqrt(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  }
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (int i = n; i-- > 0;) {
    for (int k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

}  // namespace

Anderson::Anderson(std::int64_t size, int window)
    : size_(size),
      window_(window),
      x_(static_cast<std::size_t>(size)),
      step_(static_cast<std::size_t>(size)),
      d_step_(static_cast<std::size_t>(window)),
      d_image_(static_cast<std::size_t>(window)) {}

void Anderson::push(const double* x, const double* step) {
  if (primed_) {
    std::vector<double>& ds = d_step_[next_];
    std::vector<double>& di = d_image_[next_];
    ds.resize(static_cast<std::size_t>(size_));
    di.resize(static_cast<std::size_t>(size_));
    for (std::int64_t i = 0; i < size_; ++i) {
      ds[i] = step[i] - step_[i];
      di[i] = x[i] - x_[i] + ds[i];
    }
    next_ = (next_ + 1) % window_;
    count_ = std::min(count_ + 1, window_);
  }
  std::copy_n(x, size_, x_.begin());
  std::copy_n(step, size_, step_.begin());
  primed_ = true;
}

bool Anderson::mix(double* next) const {
  if (count_ == 0) return false;
  const int n = count_;
  std::vector<double> normal(static_cast<std::size_t>(n * n)), c(static_cast<std::size_t>(n));
  const auto slot = [&](int i) { return (next_ + window_ - 1 - i) % window_; };
  double trace = 0;
  for (int i = 0; i < n; ++i) {
    const double* di = d_step_[slot(i)].data();
    for (int j = 0; j <= i; ++j) {
      normal[i * n + j] = normal[j * n + i] = dot(di, d_step_[slot(j)].data(), size_);
    }
    trace += normal[i * n + i];
    c[i] = dot(di, step_.data(), size_);
  }
  for (int i = 0; i < n; ++i) normal[i * n + i] += kRegular * trace;
  if (!(trace > 0) || !solve_small(n, normal, c)) return false;
  for (std::int64_t k = 0; k < size_; ++k) next[k] = x_[k] + step_[k];
  for (int i = 0; i < n; ++i) add_scaled(-c[i], d_image_[slot(i)].data(), next, size_);
  return true;
}

}  // namespace polyadic::solver

#include "general_eigen.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>

namespace polyadic::solver {
namespace {

using Complex = std::complex<double>;

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr int kMostSteps = 60;       // QR steps an eigenvalue
constexpr double kReal = 1e-10;      // imaginary parts below this, of the norm of A, are rounding
constexpr double kSingular = 1e-13;  // of the largest entry: a pivot that is none

// A = Q·H·Qᴴ with H upper triangular at the end (Schur form); both n×n row-major.
class Schur {
 public:
  Schur(std::int64_t n, const double* a, const JobControl& control)
      : n_(n), control_(control), h_(a, a + n * n), q_(static_cast<std::size_t>(n * n)) {
    for (std::int64_t i = 0; i < n; ++i) q(i, i) = 1;
    for (const Complex& entry : h_) norm_ += std::norm(entry);
    norm_ = std::sqrt(norm_);
  }

  bool run() {
    reduce();
    int steps = 0;
    for (std::int64_t high = n_ - 1; high > 0;) {
      std::int64_t low = high;
      while (low > 0 && !negligible(low)) --low;
      if (low > 0) h(low, low - 1) = 0;
      if (low == high) {
        --high;
        steps = 0;
        continue;
      }
      if (++steps > kMostSteps) return false;
      control_.check();
      step(low, high, steps % 12 == 0 ? h(high, high) + std::abs(h(high, high - 1)) : shift(high));
    }
    return true;
  }

  Complex value(std::int64_t k) const { return h_[static_cast<std::size_t>(k * n_ + k)]; }
  double norm() const { return norm_; }

  // Eigenvector k, of norm 1 and with its largest entry real.
  std::vector<Complex> vector(std::int64_t k) {
    std::vector<Complex> x(static_cast<std::size_t>(k + 1)), v(static_cast<std::size_t>(n_));
    x[k] = 1;
    for (std::int64_t i = k; i-- > 0;) {
      Complex sum = 0;
      for (std::int64_t j = i + 1; j <= k; ++j) sum += h(i, j) * x[j];
      Complex gap = h(i, i) - h(k, k);
      if (std::abs(gap) < kEps * norm_) gap = kEps * norm_;
      x[i] = -sum / gap;
    }
    double length = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      for (std::int64_t j = 0; j <= k; ++j) v[i] += q(i, j) * x[j];
      length += std::norm(v[i]);
    }
    const Complex largest =
        *std::max_element(v.begin(), v.end(), [](Complex a, Complex b) { return std::norm(a) < std::norm(b); });
    const Complex turn = std::conj(largest) / std::abs(largest) / std::sqrt(length);
    for (Complex& entry : v) entry *= turn;
    return v;
  }

 private:
  Complex& h(std::int64_t i, std::int64_t j) { return h_[static_cast<std::size_t>(i * n_ + j)]; }
  Complex& q(std::int64_t i, std::int64_t j) { return q_[static_cast<std::size_t>(i * n_ + j)]; }

  bool negligible(std::int64_t i) {
    const double scale = std::abs(h(i, i)) + std::abs(h(i - 1, i - 1));
    return std::abs(h(i, i - 1)) <= kEps * (scale > 0 ? scale : norm_);
  }

  // Householder reflections make H zero below its first subdiagonal.
  void reduce() {
    std::vector<Complex> v(static_cast<std::size_t>(n_));
    for (std::int64_t k = 0; k + 2 < n_; ++k) {
      control_.check();
      double length = 0;
      for (std::int64_t i = k + 1; i < n_; ++i) length += std::norm(v[i] = h(i, k));
      length = std::sqrt(length);
      if (length == 0) continue;
      const double first = std::abs(v[k + 1]);
      v[k + 1] += first > 0 ? v[k + 1] / first * length : Complex(length);
      double square = 0;
      for (std::int64_t i = k + 1; i < n_; ++i) square += std::norm(v[i]);
      for (std::int64_t j = k; j < n_; ++j) {
        Complex sum = 0;
        for (std::int64_t i = k + 1; i < n_; ++i) sum += std::conj(v[i]) * h(i, j);
        for (std::int64_t i = k + 1; i < n_; ++i) h(i, j) -= 2.0 / square * sum * v[i];
      }
      for (std::vector<Complex>* matrix : {&h_, &q_}) {
        for (std::int64_t i = 0; i < n_; ++i) {
          Complex* row = matrix->data() + i * n_;
          Complex sum = 0;
          for (std::int64_t j = k + 1; j < n_; ++j) sum += row[j] * v[j];
          for (std::int64_t j = k + 1; j < n_; ++j) row[j] -= 2.0 / square * sum * std::conj(v[j]);
        }
      }
    }
  }

  // Of the two eigenvalues of the last 2×2 block the one closer to its last entry (Wilkinson).
  Complex shift(std::int64_t high) {
    const Complex a = h(high - 1, high - 1), d = h(high, high);
    const Complex half = 0.5 * (a - d);
    const Complex root = std::sqrt(half * half + h(high - 1, high) * h(high, high - 1));
    const Complex plus = half + root, minus = half - root;
    return d + (std::abs(plus) < std::abs(minus) ? plus : minus);
  }

  // One QR step on rows and columns [low, high] by Givens rotations, which go through all of H and Q.
  void step(std::int64_t low, std::int64_t high, Complex s) {
    std::vector<std::pair<double, Complex>> turns(static_cast<std::size_t>(high - low));
    for (std::int64_t i = low; i <= high; ++i) h(i, i) -= s;
    for (std::int64_t k = low; k < high; ++k) {
      const Complex a = h(k, k), b = h(k + 1, k);
      const double length = std::sqrt(std::norm(a) + std::norm(b));
      double c = 1;
      Complex t = 0;
      if (length > 0) {
        c = std::abs(a) / length;
        t = (std::abs(a) > 0 ? a / std::abs(a) : Complex(1)) * std::conj(b) / length;
      }
      turns[static_cast<std::size_t>(k - low)] = {c, t};
      for (std::int64_t j = k; j < n_; ++j) {
        const Complex x = h(k, j), y = h(k + 1, j);
        h(k, j) = c * x + t * y;
        h(k + 1, j) = c * y - std::conj(t) * x;
      }
    }
    for (std::int64_t k = low; k < high; ++k) {
      const auto [c, t] = turns[static_cast<std::size_t>(k - low)];
      const auto turn = [c = c, t = t](Complex& x, Complex& y) {
        const Complex old = x;
        x = c * old + std::conj(t) * y;
        y = c * y - t * old;
      };
      for (std::int64_t i = 0; i <= std::min(k + 1, high); ++i) turn(h(i, k), h(i, k + 1));
      for (std::int64_t i = 0; i < n_; ++i) turn(q(i, k), q(i, k + 1));
    }
    for (std::int64_t i = low; i <= high; ++i) h(i, i) += s;
  }

  std::int64_t n_;
  const JobControl& control_;
  std::vector<Complex> h_, q_;
  double norm_ = 0;
};

}  // namespace

std::vector<double> real_eigenvectors(std::int64_t n, const double* a, const JobControl& control) {
  Schur schur(n, a, control);
  if (!schur.run()) return {};
  std::vector<double> columns(static_cast<std::size_t>(n * n));
  std::int64_t next = 0;
  const auto take = [&](const std::vector<Complex>& v, double (*part)(const Complex&)) {
    if (next == n) return;
    for (std::int64_t i = 0; i < n; ++i) columns[static_cast<std::size_t>(i * n + next)] = part(v[i]);
    ++next;
  };
  for (std::int64_t k = 0; k < n; ++k) {
    control.check();
    const double imaginary = schur.value(k).imag();
    if (imaginary < -kReal * schur.norm()) continue;  // its conjugate has given both parts
    const std::vector<Complex> v = schur.vector(k);
    take(v, [](const Complex& x) { return x.real(); });
    if (imaginary > kReal * schur.norm()) take(v, [](const Complex& x) { return x.imag(); });
  }
  return next == n ? columns : std::vector<double>{};
}

bool solve_general(std::int64_t n, std::vector<double>& a, std::int64_t columns, std::vector<double>& b,
                   const JobControl& control) {
  double largest = 0;
  for (const double entry : a) largest = std::max(largest, std::abs(entry));
  for (std::int64_t k = 0; k < n; ++k) {
    control.check();
    std::int64_t pivot = k;
    for (std::int64_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    }
    if (!(std::abs(a[pivot * n + k]) > kSingular * largest)) return false;
    if (pivot != k) {
      std::swap_ranges(a.begin() + k * n, a.begin() + (k + 1) * n, a.begin() + pivot * n);
      std::swap_ranges(b.begin() + k * columns, b.begin() + (k + 1) * columns, b.begin() + pivot * columns);
    }
    for (std::int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      if (factor == 0) continue;
      for (std::int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
      for (std::int64_t j = 0; j < columns; ++j) b[i * columns + j] -= factor * b[k * columns + j];
    }
  }
  for (std::int64_t k = n; k-- > 0;) {
    control.check();
    for (std::int64_t j = 0; j < columns; ++j) b[k * columns + j] /= a[k * n + k];
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) b[i * columns + j] -= a[i * n + k] * b[k * columns + j];
    }
  }
  return true;
}

}  // namespace polyadic::solver

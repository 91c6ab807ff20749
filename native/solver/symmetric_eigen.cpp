#include "symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "../core/status.h"
#include "linalg.h"

namespace polyadic::solver {
namespace {

// a ← Householder vectors (row i holds v_i in its first i entries, scaled so that H = I − v·vᵀ/h); d, e: the
// tridiagonal.
void tridiagonalise(std::int64_t n, const JobControl& control, double* a, double* d, double* e, double* h_of) {
  std::vector<double> p(static_cast<std::size_t>(n));
  for (std::int64_t i = n - 1; i >= 1; --i) {
    control.check();
    double* v = a + i * n;
    h_of[i] = 0;
    double scale = 0;
    for (std::int64_t k = 0; k < i; ++k) scale = std::max(scale, std::abs(v[k]));
    if (i == 1 || scale == 0) {
      e[i] = v[i - 1];
      d[i] = v[i];
      if (i > 1) std::fill(v, v + i, 0.0);
      continue;
    }
    for (std::int64_t k = 0; k < i; ++k) v[k] /= scale;
    double h = squared_norm(v, i);
    const double f = v[i - 1];
    const double g = f >= 0 ? -std::sqrt(h) : std::sqrt(h);
    e[i] = scale * g;
    d[i] = v[i];
    h -= f * g;
    v[i - 1] = f - g;
    h_of[i] = h;
    // p = A·v/h from the lower triangle alone
    std::fill(p.begin(), p.begin() + i, 0.0);
    for (std::int64_t j = 0; j < i; ++j) {
      const double* row = a + j * n;
      p[j] += dot(row, v, j + 1);
      add_scaled(v[j], row, p.data(), j);
    }
    for (std::int64_t j = 0; j < i; ++j) p[j] /= h;
    const double k = dot(p.data(), v, i) / (2 * h);
    add_scaled(-k, v, p.data(), i);
    for (std::int64_t j = 0; j < i; ++j) {
      double* row = a + j * n;
      const double vj = v[j], pj = p[j];
      for (std::int64_t l = 0; l <= j; ++l) row[l] -= vj * p[l] + pj * v[l];
    }
  }
  d[0] = a[0];
  e[0] = 0;
}

// z ← the rows of (H_{n−1}·…·H_1)ᵀ: row k of z is the k-th column of Q.
void accumulate(std::int64_t n, const JobControl& control, const double* a, const double* h_of, double* z) {
  std::fill(z, z + n * n, 0.0);
  for (std::int64_t i = 0; i < n; ++i) z[i * n + i] = 1;
  for (std::int64_t i = 2; i < n; ++i) {
    control.check();
    if (h_of[i] == 0) continue;
    const double* v = a + i * n;
    for (std::int64_t row = 0; row < i; ++row) {
      add_scaled(-dot(z + row * n, v, i) / h_of[i], v, z + row * n, i);
    }
  }
}

void rotate_rows(std::int64_t n, double c, double s, double* low, double* high) {
  for (std::int64_t k = 0; k < n; ++k) {
    const double f = high[k];
    high[k] = s * low[k] + c * f;
    low[k] = c * low[k] - s * f;
  }
}

// Implicit QL on (d, e); the rows of z turn into eigenvectors.
void diagonalise(std::int64_t n, const JobControl& control, double* d, double* e, double* z) {
  for (std::int64_t i = 1; i < n; ++i) e[i - 1] = e[i];
  e[n - 1] = 0;
  double size = 0;
  for (std::int64_t i = 0; i < n; ++i) size = std::max(size, std::abs(d[i]) + std::abs(e[i]));
  const double tiny = 1e-17 * size;  // off-diagonals this small are zero whatever stands beside them
  for (std::int64_t l = 0; l < n; ++l) {
    for (int iteration = 0;; ++iteration) {
      control.check();
      std::int64_t m = l;
      for (; m < n - 1; ++m) {
        const double sum = std::abs(d[m]) + std::abs(d[m + 1]);
        if (std::abs(e[m]) <= 2.3e-16 * sum || std::abs(e[m]) <= tiny) break;
      }
      if (m == l) break;
      if (iteration == 80) throw Error(ErrorCode::numeric, "eigenvalues of a symmetric matrix: no convergence");
      double g = (d[l + 1] - d[l]) / (2 * e[l]);
      double r = std::hypot(g, 1.0);
      g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
      double s = 1, c = 1, p = 0;
      std::int64_t i = m - 1;
      for (; i >= l; --i) {
        const double f = s * e[i], b = c * e[i];
        r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {
          d[i + 1] -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate_rows(n, c, s, z + i * n, z + (i + 1) * n);
      }
      if (r == 0 && i >= l) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
}

}  // namespace

void symmetric_eigen(std::int64_t n, const double* a, const JobControl& control, std::vector<double>& values,
                     std::vector<double>& vectors) {
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> work(a, a + n * n), z(size * size), d(size), e(size), h(size);
  if (n > 0) {
    tridiagonalise(n, control, work.data(), d.data(), e.data(), h.data());
    accumulate(n, control, work.data(), h.data(), z.data());
    diagonalise(n, control, d.data(), e.data(), z.data());
  }
  std::vector<std::int64_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t x, std::int64_t y) { return d[x] < d[y]; });
  values.resize(size);
  vectors.resize(size * size);
  for (std::int64_t j = 0; j < n; ++j) {
    values[j] = d[order[j]];
    for (std::int64_t i = 0; i < n; ++i) vectors[i * n + j] = z[order[j] * n + i];
  }
}

}  // namespace polyadic::solver

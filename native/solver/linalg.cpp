#include "linalg.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "random.h"
#include "symmetric_eigen.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kBase = 24;        // order at which the recursion ends
constexpr std::int64_t kDirect = 400;     // order up to which all eigenpairs are computed
constexpr std::int64_t kOversample = 10;  // extra columns of the subspace
constexpr int kSubspaceSteps = 60;
constexpr double kSubspaceTolerance = 1e-10;

bool cholesky_base(std::int64_t n, double* a, std::int64_t lda, double* x, std::int64_t ldx) {
  for (std::int64_t j = 0; j < n; ++j) {
    double* row = a + j * lda;
    for (std::int64_t i = 0; i < j; ++i) {
      const double* other = a + i * lda;
      double sum = row[i];
      for (std::int64_t k = 0; k < i; ++k) sum -= row[k] * other[k];
      row[i] = sum / other[i];
    }
    const double before = row[j];
    double pivot = before;
    for (std::int64_t k = 0; k < j; ++k) pivot -= row[k] * row[k];
    if (!(pivot > 1e-15 * before) || !std::isfinite(pivot)) return false;
    row[j] = std::sqrt(pivot);
  }
  for (std::int64_t j = 0; j < n; ++j) {
    x[j * ldx + j] = 1.0 / a[j * lda + j];
    for (std::int64_t i = j + 1; i < n; ++i) {
      double sum = 0;
      for (std::int64_t k = j; k < i; ++k) sum += a[i * lda + k] * x[k * ldx + j];
      x[i * ldx + j] = -sum / a[i * lda + i];
    }
  }
  return true;
}

bool cholesky_recursive(Gemm& gemm, std::int64_t n, double* a, std::int64_t lda, double* x, std::int64_t ldx,
                        double* scratch) {
  if (n <= kBase) return cholesky_base(n, a, lda, x, ldx);
  const std::int64_t half = n / 2;
  const std::int64_t rest = n - half;
  double* a21 = a + half * lda;
  double* a22 = a21 + half;
  double* x21 = x + half * ldx;
  double* x22 = x21 + half;
  if (!cholesky_recursive(gemm, half, a, lda, x, ldx, scratch)) return false;
  // L21 = A21·X11ᵀ, then A22 −= L21·L21ᵀ
  for (std::int64_t i = 0; i < rest; ++i) std::copy_n(a21 + i * lda, half, scratch + i * half);
  gemm.multiply(rest, half, half, row_major(scratch, half), row_major(x, ldx).transposed(), a21, lda);
  gemm.multiply(rest, rest, half, row_major(a21, lda), row_major(a21, lda).transposed(), a22, lda, true, -1.0);
  if (!cholesky_recursive(gemm, rest, a22, lda, x22, ldx, scratch)) return false;
  // X21 = −X22·L21·X11
  gemm.multiply(rest, half, half, row_major(a21, lda), row_major(x, ldx), scratch, half);
  gemm.multiply(rest, half, rest, row_major(x22, ldx), row_major(scratch, half), x21, ldx, false, -1.0);
  return true;
}

// Columns of q (n×count) made orthonormal, twice for accuracy; dependent columns are replaced by random ones.
void orthonormalise(std::int64_t n, std::int64_t count, const JobControl& control, std::vector<double>& q,
                    Random& random) {
  std::vector<double> columns(static_cast<std::size_t>(n * count));  // column after column
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < count; ++j) columns[j * n + i] = q[i * count + j];
  }
  for (std::int64_t j = 0; j < count; ++j) {
    control.check();
    double* own = columns.data() + j * n;
    for (int attempt = 0; attempt < 4; ++attempt) {
      const double before = squared_norm(own, n);
      for (int pass = 0; pass < 2; ++pass) {
        for (std::int64_t k = 0; k < j; ++k)
          add_scaled(-dot(own, columns.data() + k * n, n), columns.data() + k * n, own, n);
      }
      const double after = squared_norm(own, n);
      if (after > 1e-24 * before && after > 0) {
        const double scale = 1.0 / std::sqrt(after);
        for (std::int64_t i = 0; i < n; ++i) own[i] *= scale;
        if (after > 1e-12 * before) break;
        continue;  // what is left is mostly rounding: once more
      }
      for (std::int64_t i = 0; i < n; ++i) own[i] = random.normal();
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < count; ++j) q[i * count + j] = columns[j * n + i];
  }
}

std::vector<double> last_columns(std::int64_t n, const std::vector<double>& vectors, std::int64_t count) {
  std::vector<double> leading(static_cast<std::size_t>(n * count));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < count; ++j) leading[i * count + j] = vectors[i * n + (n - 1 - j)];
  }
  return leading;
}

// Orthogonal iteration with a Rayleigh–Ritz step each time; stops when the sum of the Ritz values does.
std::vector<double> subspace_iteration(Gemm& gemm, std::int64_t n, const double* a, std::int64_t count) {
  const std::int64_t width = std::min(n, count + kOversample);
  Random random(0x5eed);
  std::vector<double> q(static_cast<std::size_t>(n * width));
  std::vector<double> aq(q.size()), small(static_cast<std::size_t>(width * width)), values, vectors;
  for (double& entry : q) entry = random.normal();
  double previous = 0;
  for (int step = 0; step < kSubspaceSteps; ++step) {
    orthonormalise(n, width, gemm.control(), q, random);
    gemm.multiply(n, width, n, row_major(a, n), row_major(q.data(), width), aq.data(), width);
    gemm.multiply(width, width, n, row_major(q.data(), width).transposed(), row_major(aq.data(), width), small.data(),
                  width);
    symmetric_eigen(width, small.data(), gemm.control(), values, vectors);
    const double sum = std::accumulate(values.end() - count, values.end(), 0.0);
    const std::vector<double> ritz = last_columns(width, vectors, width);
    if (std::abs(sum - previous) <= kSubspaceTolerance * sum || step + 1 == kSubspaceSteps) {
      std::vector<double> leading(static_cast<std::size_t>(n * count));
      gemm.multiply(n, count, width, row_major(q.data(), width), row_major(ritz.data(), width), leading.data(), count);
      return leading;
    }
    previous = sum;
    gemm.multiply(n, width, width, row_major(aq.data(), width), row_major(ritz.data(), width), q.data(), width);
  }
  return {};
}

}  // namespace

double dot(const double* x, const double* y, std::int64_t length) {
  double sum[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= length; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sum[lane] += x[i + lane] * y[i + lane];
  }
  for (; i < length; ++i) sum[0] += x[i] * y[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

double squared_norm(const double* x, std::int64_t length) { return dot(x, x, length); }

void add_scaled(double alpha, const double* x, double* y, std::int64_t length) {
  for (std::int64_t i = 0; i < length; ++i) y[i] += alpha * x[i];
}

bool cholesky_with_inverse(Gemm& gemm, std::int64_t n, double* a, double* x) {
  std::fill(x, x + n * n, 0.0);
  std::vector<double> scratch(static_cast<std::size_t>((n + 1) / 2 * ((n + 1) / 2)));
  return cholesky_recursive(gemm, n, a, n, x, n, scratch.data());
}

double shifted_inverse(Gemm& gemm, std::int64_t n, const double* a, double shift, double* inverse) {
  double largest = 0;
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, a[i * n + i]);
  const double floor = largest > 0 ? 1e-15 * static_cast<double>(n) * largest : 1.0;
  std::vector<double> lower(static_cast<std::size_t>(n * n)), x(lower.size());
  for (int attempt = 0; attempt < 20; ++attempt) {
    std::copy_n(a, n * n, lower.data());
    for (std::int64_t i = 0; i < n; ++i) lower[i * n + i] += shift;
    if (cholesky_with_inverse(gemm, n, lower.data(), x.data())) break;
    shift = std::max(10 * shift, floor);
  }
  // The columns of X below the diagonal only: X is lower triangular, the zeros above are stored.
  gemm.multiply(n, n, n, row_major(x.data(), n).transposed(), row_major(x.data(), n), inverse, n);
  return shift;
}

std::vector<double> leading_eigenvectors(Gemm& gemm, std::int64_t n, const double* a, std::int64_t count) {
  if (n > kDirect && 3 * (count + kOversample) < n) return subspace_iteration(gemm, n, a, count);
  std::vector<double> values, vectors;
  symmetric_eigen(n, a, gemm.control(), values, vectors);
  return last_columns(n, vectors, count);
}

}  // namespace polyadic::solver

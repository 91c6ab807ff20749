#include "metric.h"

#include <algorithm>
#include <cmath>

#include "../core/parallel.h"
#include "../core/status.h"
#include "linalg.h"

namespace polyadic::solver {
namespace {

constexpr double kTraceLeft = 0.15;  // of the trace, where the factorisation ends
constexpr double kNegative = -1e-6;  // of the largest diagonal entry: more than rounding
constexpr std::int64_t kStretch = 1024;

// Columns of L one after another, each of `dim`. Returns the trace that is left.
double pivoted_cholesky(Gemm& gemm, const double* c, std::int64_t dim, std::vector<double>& columns) {
  std::vector<double> left(static_cast<std::size_t>(dim));
  double trace = 0, largest = 0;
  for (std::int64_t i = 0; i < dim; ++i) {
    left[i] = c[i * dim + i];
    if (!std::isfinite(left[i])) throw Error(ErrorCode::numeric, "covariance: expected finite values");
    trace += left[i];
    largest = std::max(largest, left[i]);
  }
  double rest = trace;
  for (std::int64_t q = 0; q < dim && rest > kTraceLeft * trace; ++q) {
    gemm.control().check();
    const std::int64_t pivot = std::max_element(left.begin(), left.end()) - left.begin();
    if (!(left[pivot] > 0)) break;
    columns.resize(static_cast<std::size_t>((q + 1) * dim));
    double* own = columns.data() + q * dim;
    const double* all = columns.data();
    const double root = std::sqrt(left[pivot]);
    parallel_for(gemm.threads(), (dim + kStretch - 1) / kStretch, [&](std::int64_t task, int) {
      const std::int64_t begin = task * kStretch, count = std::min(kStretch, dim - begin);
      std::copy_n(c + pivot * dim + begin, count, own + begin);
      for (std::int64_t k = 0; k < q; ++k) add_scaled(-all[k * dim + pivot], all + k * dim + begin, own + begin, count);
      for (std::int64_t i = begin; i < begin + count; ++i) {
        own[i] /= root;
        left[i] -= own[i] * own[i];
      }
    });
    left[pivot] = 0;
    rest = 0;
    for (const double value : left) {
      if (value < kNegative * largest)
        throw Error(ErrorCode::numeric, "covariance: expected a positive semi-definite matrix");
      rest += std::max(0.0, value);
    }
  }
  return rest;
}

}  // namespace

Metric make_metric(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor, std::int64_t rows,
                   double scale) {
  std::vector<double> columns;
  const double rest = pivoted_cholesky(gemm, covariance, dim, columns);
  Metric metric;
  metric.covariance = covariance;
  metric.product.resize(static_cast<std::size_t>(rows * dim));
  gemm.multiply(rows, dim, dim, row_major(tensor, dim), row_major(covariance, dim), metric.product.data(), dim);
  const double norm = scale * scale * dot(metric.product.data(), tensor, rows * dim);
  if (!(norm > 0) || !std::isfinite(norm)) throw Error(ErrorCode::argument, "covariance: the tensor has norm 0 in it");
  metric.scale = 1 / norm;
  metric.norm_squared = norm;
  for (double& entry : metric.product) entry *= scale / norm;
  metric.rank = static_cast<std::int64_t>(columns.size()) / dim;
  metric.floor = rest / static_cast<double>(dim) / norm;
  double trace = 0;
  for (std::int64_t i = 0; i < dim; ++i) trace += covariance[i * dim + i];
  metric.mean_diagonal = trace / norm / static_cast<double>(dim);
  std::vector<double> root(columns.size());
  for (std::int64_t q = 0; q < metric.rank; ++q) {
    for (std::int64_t i = 0; i < dim; ++i) root[i * metric.rank + q] = columns[q * dim + i];
  }
  metric.root = PanelMatrix(root.data(), dim, metric.rank, 1 / std::sqrt(norm), gemm.threads());
  return metric;
}

}  // namespace polyadic::solver

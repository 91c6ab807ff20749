#include "metric.h"

#include <algorithm>
#include <cmath>

#include "../core/parallel.h"
#include "../core/status.h"
#include "linalg.h"

namespace polyadic::solver {
namespace {

constexpr double kTraceLeft = 1e-3;  // of the trace, where the factorisation ends
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

double weighted_norm(Gemm& gemm, const double* covariance, std::int64_t dim, const double* x, std::int64_t rows,
                     std::vector<double>& scratch) {
  gemm.multiply(rows, dim, dim, row_major(x, dim), row_major(covariance, dim), scratch.data(), dim);
  return dot(scratch.data(), x, rows * dim);
}

}  // namespace

Metric make_metric(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor, std::int64_t rows,
                   double scale) {
  std::vector<double> columns;
  const double rest = pivoted_cholesky(gemm, covariance, dim, columns);
  Metric metric;
  metric.rank = static_cast<std::int64_t>(columns.size()) / dim;
  metric.floor = rest / static_cast<double>(dim);
  metric.projected.resize(static_cast<std::size_t>(metric.rank * rows));
  gemm.multiply(metric.rank, rows, dim, row_major(columns.data(), dim), row_major(tensor, dim).transposed(),
                metric.projected.data(), rows);
  for (double& entry : metric.projected) entry *= scale;
  const double norm = squared_norm(metric.projected.data(), metric.rank * rows) + metric.floor;
  if (!(norm > 0)) throw Error(ErrorCode::argument, "covariance: the tensor has norm 0 in it");
  const double shrink = 1 / std::sqrt(norm);
  for (double& entry : metric.projected) entry *= shrink;
  metric.floor /= norm;
  double trace = 0;
  for (std::int64_t i = 0; i < dim; ++i) trace += covariance[i * dim + i];
  metric.mean_diagonal = trace / norm / static_cast<double>(dim);
  std::vector<double> root(columns.size());
  for (std::int64_t q = 0; q < metric.rank; ++q) {
    for (std::int64_t i = 0; i < dim; ++i) root[i * metric.rank + q] = columns[q * dim + i];
  }
  metric.root = PanelMatrix(root.data(), dim, metric.rank, shrink, gemm.threads());
  return metric;
}

double metric_error(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor,
                    const double* residual, std::int64_t rows) {
  std::vector<double> scratch(static_cast<std::size_t>(rows * dim));
  const double whole = weighted_norm(gemm, covariance, dim, tensor, rows, scratch);
  const double part = weighted_norm(gemm, covariance, dim, residual, rows, scratch);
  return whole > 0 ? std::sqrt(std::max(0.0, part) / whole) : 0.0;
}

}  // namespace polyadic::solver

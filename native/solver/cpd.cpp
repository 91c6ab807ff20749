#include "cpd.h"

#include <algorithm>
#include <cmath>

#include "als.h"
#include "correction.h"
#include "gevd.h"
#include "gramian.h"
#include "greedy.h"
#include "init.h"
#include "linalg.h"
#include "multilinear.h"
#include "nls.h"
#include "objective.h"
#include "problem.h"
#include "tucker.h"

namespace polyadic::solver {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorCode::argument, message); }

// TypeScript has checked all of this with better words; here it keeps memory safe.
void check_spec(const CpdSpec& spec) {
  const auto order = static_cast<int>(spec.dims.size());
  if (order < kMinOrder || order > kMaxOrder) reject("dims: expected 2 to 6 dimensions, got " + std::to_string(order));
  for (const std::int64_t dim : spec.dims) {
    if (dim < 1) reject("dims: expected positive integers, got " + std::to_string(dim));
  }
  if (spec.rank < 1) reject("rank: expected a positive integer, got " + std::to_string(spec.rank));
  if (spec.threads < 1) reject("threads: expected a positive integer, got " + std::to_string(spec.threads));
  if (spec.max_iterations < 1) reject("maxIterations: expected a positive integer");
  if (!(spec.tolerance >= 0)) reject("tolerance: expected a number of at least 0");
  if (!(spec.ridge >= 0) || !std::isfinite(spec.ridge)) reject("ridge: expected a finite number of at least 0");
  if (!(spec.most_weight >= 0)) reject("maxWeight: expected a number of at least 0");
  if (!(spec.correction == 0 || spec.correction >= 1)) reject("correction: expected 0 or a number of at least 1");
  if (spec.init == Init::gevd && order > 2 && !gevd_applies(spec.dims, spec.rank)) {
    reject("init: gevd needs two dimensions of at least the rank, " + std::to_string(spec.rank) +
           ", and more than one slice of them");
  }
  if (spec.init != Init::given) return;
  if (spec.given.size() != spec.dims.size()) reject("factors: expected one a dimension");
  for (std::size_t n = 0; n < spec.dims.size(); ++n) {
    if (static_cast<std::int64_t>(spec.given[n].size()) != spec.dims[n] * spec.rank) {
      reject("factors[" + std::to_string(n) + "]: expected " + std::to_string(spec.dims[n]) + "×" +
             std::to_string(spec.rank) + " elements");
    }
    for (const double value : spec.given[n]) {
      if (!std::isfinite(value))
        throw Error(ErrorCode::numeric, "factors[" + std::to_string(n) + "]: expected finite values");
    }
  }
}

// ‖T‖, found so that no square overflows: of T over its largest entry.
double norm_of(const double* tensor, std::int64_t size) {
  double largest = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    if (!std::isfinite(tensor[i]))
      throw Error(ErrorCode::numeric, "tensor: expected finite values, element " + std::to_string(i) + " is not");
    largest = std::max(largest, std::abs(tensor[i]));
  }
  if (largest == 0) return 0;
  constexpr std::int64_t kChunk = 4096;
  double sum = 0, chunk[kChunk];
  for (std::int64_t begin = 0; begin < size; begin += kChunk) {
    const std::int64_t count = std::min(kChunk, size - begin);
    for (std::int64_t i = 0; i < count; ++i) chunk[i] = tensor[begin + i] / largest;
    sum += squared_norm(chunk, count);
  }
  return std::sqrt(sum) * largest;
}

// The R leading terms of the singular value decomposition: V from the Gram matrix of the short side, and T·V (or Tᵀ·V)
// as the other factor, so that the projection error is that of V's span: second order in its rounding errors.
StopReason truncated_svd(Problem& problem, Factors& factors) {
  const std::int64_t rows = factors.dim(0), columns = factors.dim(1), rank = factors.rank();
  const std::size_t narrow = rows < columns ? 0 : 1;
  const std::int64_t width = std::min(rows, columns);
  const std::int64_t count = std::min(width, rank);
  const std::vector<double> vectors = leading_subspace(problem.gemm, problem.raw(), factors.dims(), narrow, count);
  factors.fill(0);
  for (std::int64_t i = 0; i < width; ++i)
    std::copy_n(vectors.data() + i * count, count, factors.mode(narrow) + i * rank);
  const Strided t = row_major(problem.raw(), columns);
  problem.gemm.multiply(factors.dim(1 - narrow), count, width, narrow == 1 ? t : t.transposed(),
                        row_major(vectors.data(), count), factors.mode(1 - narrow), rank);
  for (std::int64_t i = 0; i < factors.dim(1 - narrow) * rank; ++i) factors.mode(1 - narrow)[i] *= problem.scale();
  balance(factors);
  return StopReason::converged;
}

StopReason run_method(Problem& problem, Factors& factors) {
  const CpdSpec& spec = problem.spec();
  if (spec.dims.size() == 2) return truncated_svd(problem, factors);
  if (spec.method == Method::greedy) return greedy(problem, factors);
  factors = initial_factors(problem);
  if (spec.method == Method::als) return als(problem, factors, {spec.max_iterations, spec.tolerance, 0});
  if (2 * problem.direct_objective(factors) > kNothing) {
    if (compression_pays(spec.dims, spec.rank)) {
      nls_on_core(problem, factors);
    } else {
      lift(problem.gemm, factors);
    }
  }
  return nls(problem, factors);
}

StopReason refine_in_metric(Problem& problem, Factors& factors, double& error_before) {
  const std::int64_t rows = factors.dim(0), columns = product(factors.dims(), 1, factors.order());
  problem.set_metric(
      make_metric(problem.gemm, problem.spec().covariance, columns, problem.raw(), rows, problem.scale()));
  {
    const auto objective = metric_objective(problem, factors);
    error_before = objective->error(objective->evaluate(factors));
  }
  return nls_in_metric(problem, factors);
}

void check_finite(const Factors& factors) {
  for (std::int64_t i = 0; i < factors.size(); ++i) {
    if (!std::isfinite(factors.data()[i]))
      throw Error(ErrorCode::numeric, "cpd: the factors have become non-finite; use a ridge or a lower rank");
  }
}

void scale_to(double norm, Factors& factors) {
  const double share = std::pow(norm, 1.0 / static_cast<double>(factors.order()));
  for (std::int64_t i = 0; i < factors.size(); ++i) factors.data()[i] *= share;
}

}  // namespace

CpdResult decompose(const double* tensor, const CpdSpec& spec, const JobControl& control) {
  check_spec(spec);
  CpdResult result;
  result.factors = Factors(spec.dims, spec.rank);
  const double norm = norm_of(tensor, product(spec.dims, 0, spec.dims.size()));
  if (norm == 0) {
    result.stop_reason = StopReason::exact;
    return result;
  }
  control.check();

  CpdSpec scaled = spec;
  const double share = std::pow(norm, -1.0 / static_cast<double>(spec.dims.size()));
  for (std::vector<double>& factor : scaled.given) {
    for (double& entry : factor) entry *= share;
  }
  Problem problem(tensor, 1 / norm, scaled, control);
  Factors& factors = result.factors;
  result.stop_reason = run_method(problem, factors);
  check_finite(factors);
  if (spec.covariance) {
    result.stop_reason = refine_in_metric(problem, factors, result.output_error_before);
    check_finite(factors);
  }
  balance(factors);
  double error = std::sqrt(2 * problem.direct_objective(factors));
  if (spec.dims.size() == 2) problem.record(error, 0, 0, 0);
  const double before = sensitivity(factors);
  if (spec.covariance) {
    const auto objective = metric_objective(problem, factors);
    result.output_error = objective->error(objective->evaluate(factors));
    result.output_power = problem.metric()->norm_squared * norm * norm;
  }
  if (spec.correction >= 1 && spec.dims.size() > 2 && !spec.covariance) {
    correct(problem, factors, error, spec.correction * error);
    check_finite(factors);
    error = std::sqrt(2 * problem.direct_objective(factors));
  }
  const double after = sensitivity(factors);
  result.relative_error = error;
  result.iterations = static_cast<std::int64_t>(problem.trace.size());
  result.trace = std::move(problem.trace);
  result.congruence = congruence(problem.gemm, factors);
  const double order = static_cast<double>(spec.dims.size());
  scale_to(norm, factors);
  const double unit_to_norm = std::pow(norm, 2 - 2 / order);
  result.sensitivity_before = before * unit_to_norm;
  result.sensitivity = after * unit_to_norm;
  result.component_norm = component_norm(factors);
  return result;
}

}  // namespace polyadic::solver

// CP decomposition: T(i_1,…,i_N) ≈ Σ_r Π_n A_n(i_n, r), orders 2 to 6.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../core/job_control.h"
#include "tensor_view.h"

namespace polyadic::solver {

enum class Method { nls, als, greedy };
enum class Init { random, svd, gevd, given };
enum class StopReason { converged, max_iterations, stalled, exact };

struct CpdSpec {
  std::vector<std::int64_t> dims;
  std::int64_t rank = 1;
  Method method = Method::nls;
  Init init = Init::random;
  std::vector<std::vector<double>> given;  // I_n×R row-major, with Init::given
  std::uint64_t seed = 0;
  std::int64_t max_iterations = 100;
  double tolerance = 1e-6;
  double ridge = 0;                    // γ, relative to ‖T‖^(2−2/N)
  double most_weight = 0;              // λ_r = Π_n‖a_n,r‖ at most, relative to ‖T‖; 0: no bound
  double correction = 0;               // allowed growth of the error, 1.001 say; 0: no correction
  const double* covariance = nullptr;  // (I_2·…·I_N)² of them: the metric to refine in, kept by the caller
  int threads = 1;
};

struct TraceEntry {
  double error;          // ‖T − M‖/‖T‖
  double gradient_norm;  // for the tensor scaled to norm 1
  double damping;        // μ of Levenberg–Marquardt; the extrapolation step of ALS
  std::int64_t inner_iterations;
  double seconds;  // since the start
};

struct CpdResult {
  Factors factors;            // columns of equal norm over modes
  double relative_error = 0;  // recomputed from the factors
  std::int64_t iterations = 0;
  StopReason stop_reason = StopReason::converged;
  std::vector<TraceEntry> trace;
  double output_error = 0;         // √(tr(E·C·Eᵀ)/tr(T·C·Tᵀ)), where a covariance C is given
  double output_error_before = 0;  // the same of the plain solution that the refinement began with
  double output_power = 0;         // tr(T·C·Tᵀ)
  double sensitivity = 0;
  double sensitivity_before = 0;
  double congruence = 0;
  double component_norm = 0;
};

// tensor: row-major, product of dims elements. Throws Error(argument | numeric | aborted).
CpdResult decompose(const double* tensor, const CpdSpec& spec, const JobControl& control);

}  // namespace polyadic::solver

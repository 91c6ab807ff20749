// The norm ‖X‖² = tr(X·C·Xᵀ) of the tensor as an I_1×D matrix, D = I_2·…·I_N: how much a change of a layer's weights
// changes its output, when C is the second moment of the layer's input patches.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"

namespace polyadic::solver {

// C scaled so that the tensor at hand has norm 1, and C ≈ L·Lᵀ + floor·I: values and gradients use the whole of C,
// steps are found with the approximation, of which a product costs a fraction.
struct Metric {
  const double* covariance = nullptr;  // C, D×D, to be multiplied by scale; kept by the caller
  double scale = 1;
  double norm_squared = 0;      // tr(T·C·Tᵀ) before scaling, T of norm 1
  std::vector<double> product;  // T·C, I_1×D, scaled
  PanelMatrix root;             // L, D×q, scaled
  std::int64_t rank = 0;        // q
  double floor = 0;
  double mean_diagonal = 0;
};

// covariance: D×D, symmetric and positive semi-definite; tensor: rows×D, times scale. L comes from Cholesky's method
// with pivots, which ends when what is left of the trace is a small part of it; that part becomes the floor.
// Throws Error(numeric) when covariance is not positive semi-definite, Error(argument) when the tensor has norm 0 in
// it.
Metric make_metric(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor, std::int64_t rows,
                   double scale);

}  // namespace polyadic::solver

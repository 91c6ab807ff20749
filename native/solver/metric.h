// The norm ‖X‖² = tr(X·C·Xᵀ) of the tensor as an I_1×D matrix, D = I_2·…·I_N: how much a change of a layer's weights
// changes its output, when C is the second moment of the layer's input patches.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"

namespace polyadic::solver {

// C ≈ L·Lᵀ + floor·I, scaled so that the tensor at hand has norm 1.
struct Metric {
  PanelMatrix root;               // L, D×q
  std::vector<double> projected;  // LᵀTᵀ, q×I_1
  std::int64_t rank = 0;          // q
  double floor = 0;
  double mean_diagonal = 0;
};

// covariance: D×D, symmetric and positive semi-definite; tensor: rows×D, times scale. L comes from Cholesky's method
// with pivots, which ends when what is left of the trace is a small part of it; that part becomes the floor.
// Throws Error(numeric) when covariance is not positive semi-definite, Error(argument) when the tensor has norm 0 in
// it.
Metric make_metric(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor, std::int64_t rows,
                   double scale);

// √(tr(E·C·Eᵀ) / tr(T·C·Tᵀ)) for residual E = T − M, both rows×D, with the whole of C.
double metric_error(Gemm& gemm, const double* covariance, std::int64_t dim, const double* tensor,
                    const double* residual, std::int64_t rows);

}  // namespace polyadic::solver

// Small dense linear algebra for R×R and I_n×I_n matrices: all row-major, all float64.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"

namespace polyadic::solver {

// Eight partial sums in a fixed order.
double dot(const double* x, const double* y, std::int64_t length);
double squared_norm(const double* x, std::int64_t length);

// y += alpha·x
void add_scaled(double alpha, const double* x, double* y, std::int64_t length);

// A = L·Lᵀ by recursive halving, with X = L⁻¹ made on the way, so that everything large is a matrix product.
// a: n×n, its lower triangle is overwritten by L. x: n×n, its lower triangle becomes L⁻¹, the rest is zeroed.
// Returns false when A is not numerically positive definite (contents then undefined).
bool cholesky_with_inverse(Gemm& gemm, std::int64_t n, double* a, double* x);

// inverse (n×n) = (a + shift·I)⁻¹ of a symmetric positive semi-definite a (kept). The shift is raised until the
// factorisation succeeds; returns the shift used.
double shifted_inverse(Gemm& gemm, std::int64_t n, const double* a, double shift, double* inverse);

// The `count` eigenvectors of largest eigenvalue of the symmetric positive semi-definite a (n×n), as columns of an
// n×count row-major matrix, largest first. Large matrices go by subspace iteration; roughly, it ends after a few steps:
// eigenvalues that lie close together are then not told apart.
enum class Accuracy { rough, full };
std::vector<double> leading_eigenvectors(Gemm& gemm, std::int64_t n, const double* a, std::int64_t count,
                                         Accuracy accuracy);

}  // namespace polyadic::solver

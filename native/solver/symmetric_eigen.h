// Eigendecomposition of a symmetric matrix: Householder tridiagonalisation, then implicit QL (as in EISPACK's
// tred2 and tql2), with eigenvectors kept as rows so that every inner loop runs over contiguous memory.
#pragma once

#include <cstdint>
#include <vector>

namespace polyadic::solver {

// All eigenpairs of the symmetric a (n×n row-major, kept): values ascending; vectors n×n row-major, one eigenvector a
// column.
void symmetric_eigen(std::int64_t n, const double* a, std::vector<double>& values, std::vector<double>& vectors);

}  // namespace polyadic::solver

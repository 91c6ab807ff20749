// Eigendecomposition of a symmetric matrix: Householder tridiagonalisation, then implicit QL (as in EISPACK's
// tred2 and tql2), with eigenvectors kept as rows so that every inner loop runs over contiguous memory.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/job_control.h"

namespace polyadic::solver {

// All eigenpairs of the symmetric a (n×n row-major, kept): values ascending; vectors n×n row-major, one eigenvector a
// column. Throws Error(aborted) soon after the job was cancelled.
void symmetric_eigen(std::int64_t n, const double* a, const JobControl& control, std::vector<double>& values,
                     std::vector<double>& vectors);

}  // namespace polyadic::solver

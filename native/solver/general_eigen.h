// Eigenvectors of a real matrix that need not be symmetric, and linear systems with one: what `gevd` needs. Both
// throw Error(aborted) soon after the job was cancelled.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/job_control.h"

namespace polyadic::solver {

// n×n row-major, an eigenvector of norm 1 a column; a pair of complex ones gives its real and its imaginary part. By
// Hessenberg reduction and shifted QR in complex arithmetic. Empty when that does not converge.
std::vector<double> real_eigenvectors(std::int64_t n, const double* a, const JobControl& control);

// b (n×columns, row-major) becomes A⁻¹·b, by elimination with partial pivots. a: n×n, overwritten.
// False when A is numerically singular (contents then undefined).
bool solve_general(std::int64_t n, std::vector<double>& a, std::int64_t columns, std::vector<double>& b,
                   const JobControl& control);

}  // namespace polyadic::solver

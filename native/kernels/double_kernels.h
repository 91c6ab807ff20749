// float64 kernels of the CP solver.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// C[mr×nr] += A·B over packed panels: a is k×mr (a column of A after another), b is k×nr (a row of B after another),
// c row-major with leading dimension ldc.
using GemmTile = void (*)(std::int64_t k, const double* a, const double* b, double* c, std::ptrdiff_t ldc);

struct DoubleKernels {
  int mr;  // rows of a GEMM tile
  int nr;  // columns of a GEMM tile, a multiple of the vector length
  GemmTile gemm_tile;
};

}  // namespace polyadic

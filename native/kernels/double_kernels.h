// float64 kernels of the CP solver.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// C[mr×nr] = A·B, or += with add, over packed panels: a is k×mr (a column of A after another), b is k×nr (a row of B
// after another), c row-major with leading dimension ldc.
using GemmTile = void (*)(std::int64_t k, const double* a, const double* b, double* c, std::ptrdiff_t ldc, bool add);

// The same with A as it lies: row-major, lda apart from row to row.
using GemmRows = void (*)(std::int64_t k, const double* a, std::ptrdiff_t lda, const double* b, double* c,
                          std::ptrdiff_t ldc, bool add);

// The same with A in `strips` squares of mr×mr, row after row, `hop` doubles apart; k = strips·mr.
using GemmStrips = void (*)(std::int64_t strips, const double* a, std::ptrdiff_t hop, const double* b, double* c,
                            std::ptrdiff_t ldc, bool add);

// Independent multiply-adds in registers alone, `rounds` times 12 vectors: what the peak is measured with.
using DoublePeakLoop = double (*)(std::int64_t rounds);

struct DoubleKernels {
  int mr;     // rows of a GEMM tile
  int nr;     // columns of a GEMM tile, a multiple of the vector length
  int lanes;  // doubles of a vector
  GemmTile gemm_tile;
  GemmRows gemm_rows;
  GemmStrips gemm_strips;
  DoublePeakLoop peak;  // 12 · 2 · lanes operations a round
};

}  // namespace polyadic

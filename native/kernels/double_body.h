// The one body of every float64 kernel. Included once by each ISA's file after its vec_*.h.
#include "double_kernels.h"

namespace {

template <int Rows, int Columns>
void gemm_tile(std::int64_t k, const double* a, const double* b, double* c, std::ptrdiff_t ldc) {
  double acc[Rows][Columns] = {};
  for (std::int64_t i = 0; i < k; ++i, a += Rows, b += Columns) {
    for (int r = 0; r < Rows; ++r) {
      for (int j = 0; j < Columns; ++j) acc[r][j] += a[r] * b[j];
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int j = 0; j < Columns; ++j) c[r * ldc + j] += acc[r][j];
  }
}

}  // namespace

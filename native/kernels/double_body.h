// The one body of every float64 kernel, over VecD. Included once by each ISA's file after its vec_*.h.
#include "double_kernels.h"

namespace {

// Accumulators stay in registers: Rows · Columns / lanes of them.
template <int Rows, int Columns>
void gemm_tile(std::int64_t k, const double* a, const double* b, double* c, std::ptrdiff_t ldc) {
  constexpr int kVectors = Columns / VecD::kLanes;
  static_assert(kVectors * VecD::kLanes == Columns, "a tile is whole vectors wide");
  VecD acc[Rows][kVectors];
  for (int r = 0; r < Rows; ++r) {
    for (int j = 0; j < kVectors; ++j) acc[r][j] = VecD::zero();
  }
  for (std::int64_t i = 0; i < k; ++i, a += Rows, b += Columns) {
    VecD row[kVectors];
    for (int j = 0; j < kVectors; ++j) row[j] = VecD::load(b + j * VecD::kLanes);
    for (int r = 0; r < Rows; ++r) {
      const VecD x = VecD::broadcast(a[r]);
      for (int j = 0; j < kVectors; ++j) acc[r][j] = fma(x, row[j], acc[r][j]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int j = 0; j < kVectors; ++j) {
      double* dst = c + r * ldc + j * VecD::kLanes;
      (VecD::load(dst) + acc[r][j]).store(dst);
    }
  }
}

}  // namespace

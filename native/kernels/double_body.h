// The one body of every float64 kernel, over VecD. Included once by each ISA's file after its vec_*.h.
#include "double_kernels.h"

// A macro, as GCC drops calls of a function that does nothing else.
#ifdef __GNUC__
#define POLYADIC_PREFETCH(address) __builtin_prefetch(address)
#else
#define POLYADIC_PREFETCH(address) static_cast<void>(address)
#endif

namespace {

constexpr int kAhead = 12;  // columns of A to fetch before they are needed

// Accumulators of a tile, which stay in registers: Rows · Columns / lanes of them.
template <int Rows, int Columns>
struct DoubleTile {
  static constexpr int kVectors = Columns / VecD::kLanes;
  static_assert(kVectors * VecD::kLanes == Columns, "a tile is whole vectors wide");
  VecD acc[Rows][kVectors];

  void clear() {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) acc[r][j] = VecD::zero();
    }
  }
  // One column of A, its elements `step` apart, times one row of B.
  void add(const double* a, std::ptrdiff_t step, const double* b) {
    VecD row[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) row[j] = VecD::load(b + j * VecD::kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const VecD x = VecD::broadcast(a[r * step]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) acc[r][j] = fma(x, row[j], acc[r][j]);
    }
  }
  void finish(double* c, std::ptrdiff_t ldc, bool add_to_c) const {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) {
        double* dst = c + r * ldc + j * VecD::kLanes;
        (add_to_c ? VecD::load(dst) + acc[r][j] : acc[r][j]).store(dst);
      }
    }
  }
};

template <int Rows, int Columns>
void gemm_tile(std::int64_t k, const double* a, const double* b, double* c, std::ptrdiff_t ldc, bool add) {
  DoubleTile<Rows, Columns> tile;
  tile.clear();
  for (std::int64_t i = 0; i < k; ++i, a += Rows, b += Columns) {
    POLYADIC_PREFETCH(a + kAhead * Rows);
    tile.add(a, 1, b);
  }
  tile.finish(c, ldc, add);
}

template <int Rows, int Columns>
void gemm_rows(std::int64_t k, const double* a, std::ptrdiff_t lda, const double* b, double* c, std::ptrdiff_t ldc,
               bool add) {
  DoubleTile<Rows, Columns> tile;
  tile.clear();
  for (std::int64_t i = 0; i < k; ++i, ++a, b += Columns) tile.add(a, lda, b);
  tile.finish(c, ldc, add);
}

template <int Rows, int Columns>
void gemm_strips(std::int64_t strips, const double* a, std::ptrdiff_t hop, const double* b, double* c,
                 std::ptrdiff_t ldc, bool add) {
  DoubleTile<Rows, Columns> tile;
  tile.clear();
  for (std::int64_t s = 0; s < strips; ++s, a += hop) {
    for (int line = 0; line < Rows * Rows; line += 8) POLYADIC_PREFETCH(a + hop + line);
#pragma GCC unroll 8
    for (int q = 0; q < Rows; ++q, b += Columns) tile.add(a + q, Rows, b);
  }
  tile.finish(c, ldc, add);
}

double double_peak(std::int64_t rounds) {
  constexpr int kChains = 12;
  VecD acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = VecD::zero();
  const VecD a = VecD::broadcast(1.0), b = VecD::broadcast(1e-9);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = fma(a, acc[i], b);
  }
  double lanes[VecD::kLanes], sum = 0;
  for (int i = 0; i < kChains; ++i) {
    acc[i].store(lanes);
    for (int lane = 0; lane < VecD::kLanes; ++lane) sum += lanes[lane];
  }
  return sum;
}

template <int Rows, int Columns>
constexpr polyadic::DoubleKernels double_kernels() {
  return {
      Rows,       Columns, VecD::kLanes, gemm_tile<Rows, Columns>, gemm_rows<Rows, Columns>, gemm_strips<Rows, Columns>,
      double_peak};
}

}  // namespace

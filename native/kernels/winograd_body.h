// The one body of the Winograd transforms, over Vec. Included once by each ISA's file after its vec_*.h.
//
// F(m, 3) interpolates at m + 1 points and infinity. F(4, 3) takes 0, ±√½, ±√2: their products of powers stay near 1,
// so that the sums cancel less than with the usual 0, ±1, ±2 (by a factor of about 3 at 512 channels). The weights'
// transform, with all divisions, is in ops/winograd_weights.cpp.
#include "winograd_kernels.h"

namespace {

using polyadic::WinogradInputArgs;
using polyadic::WinogradOutputArgs;

template <int M>
struct Winograd;

// Points 0, 1, −1, ∞.
template <>
struct Winograd<2> {
  static inline void input(const Vec (&d)[4], Vec (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  static inline void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
};

// Points 0, a, −a, b, −b, ∞ with a² = ½ and b² = 2.
template <>
struct Winograd<4> {
  static constexpr float kA = 0.70710678118654752f, kB = 1.41421356237309505f;
  static inline void input(const Vec (&d)[6], Vec (&v)[6]) {
    const Vec middle = Vec::broadcast(-2.5f), two = Vec::broadcast(-2.0f), half = Vec::broadcast(-0.5f);
    const Vec even_a = fma(two, d[2], d[4]), odd_a = fma(two, d[1], d[3]);
    const Vec even_b = fma(half, d[2], d[4]), odd_b = fma(half, d[1], d[3]);
    v[0] = fma(middle, d[2], d[0] + d[4]);
    v[1] = fma(Vec::broadcast(kA), odd_a, even_a);
    v[2] = fma(Vec::broadcast(-kA), odd_a, even_a);
    v[3] = fma(Vec::broadcast(kB), odd_b, even_b);
    v[4] = fma(Vec::broadcast(-kB), odd_b, even_b);
    v[5] = fma(middle, d[3], d[1] + d[5]);
  }
  static inline void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const Vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = fma(Vec::broadcast(kA), difference_a, Vec::broadcast(kB) * difference_b);
    y[2] = fma(Vec::broadcast(0.5f), sum_a, Vec::broadcast(2.0f) * sum_b);
    y[3] = fma(Vec::broadcast(0.5f * kA), difference_a, fma(Vec::broadcast(2.0f * kB), difference_b, m[5]));
  }
};

template <int M>
void winograd_input(const WinogradInputArgs& given) {
  constexpr int N = M + 2;
  const WinogradInputArgs args = given;
  for (std::int64_t t = 0; t < args.tiles; ++t) {
    const float* src = args.src + t * M * Vec::kLanes;
    float* dst = args.dst + t * Vec::kLanes;
    Vec half[N][N];  // transformed along columns
#pragma GCC unroll 6
    for (int x = 0; x < N; ++x) {
      Vec d[N], v[N];
#pragma GCC unroll 6
      for (int y = 0; y < N; ++y) d[y] = Vec::load(src + y * args.src_row + x * Vec::kLanes);
      Winograd<M>::input(d, v);
#pragma GCC unroll 6
      for (int y = 0; y < N; ++y) half[y][x] = v[y];
    }
#pragma GCC unroll 6
    for (int y = 0; y < N; ++y) {
      Vec v[N];
      Winograd<M>::input(half[y], v);
#pragma GCC unroll 6
      for (int x = 0; x < N; ++x) v[x].store(dst + (y * N + x) * args.dst_position);
    }
  }
}

template <int M>
void winograd_output(const WinogradOutputArgs& given) {
  constexpr int N = M + 2;
  const WinogradOutputArgs args = given;
  const Vec bias = args.bias ? Vec::load(args.bias) : Vec::zero();
  for (std::int64_t t = 0; t < args.tiles; ++t) {
    const float* src = args.src + t * args.src_tile;
    Vec half[M][N];
#pragma GCC unroll 6
    for (int x = 0; x < N; ++x) {
      Vec m[N], y[M];
#pragma GCC unroll 6
      for (int k = 0; k < N; ++k) m[k] = Vec::load(src + (k * N + x) * args.src_position);
      Winograd<M>::output(m, y);
#pragma GCC unroll 4
      for (int k = 0; k < M; ++k) half[k][x] = y[k];
    }
    const std::int64_t columns = args.columns - t * M < M ? args.columns - t * M : M;
    for (std::int64_t row = 0; row < args.rows; ++row) {
      Vec y[M];
      Winograd<M>::output(half[row], y);
      float* dst = args.dst + row * args.dst_row + t * M * Vec::kLanes;
      const float* residual = args.residual ? args.residual + row * args.residual_row + t * M * Vec::kLanes : nullptr;
#pragma GCC unroll 4
      for (int column = 0; column < M; ++column) {
        if (column >= columns) break;
        Vec sum = y[column] + bias;
        if (residual) sum = sum + Vec::load(residual + column * Vec::kLanes);
        if (args.relu) sum = max(Vec::zero(), sum);
        sum.store(dst + column * Vec::kLanes);
      }
    }
  }
}

constexpr polyadic::WinogradKernels winograd_kernels() {
  return {{winograd_input<2>, winograd_output<2>}, {winograd_input<4>, winograd_output<4>}};
}

}  // namespace

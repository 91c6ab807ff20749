#include "winograd_weights.h"

namespace polyadic {
namespace {

// Row p of G for a finite point p: (1, p, p²) / Π_{q ≠ p} (p − q) over the other finite points; (0, 0, 1) for infinity.
constexpr double kTwo[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};

constexpr double kA = 0.70710678118654752440, kB = 1.41421356237309504880;
constexpr double kFour[6][3] = {{1, 0, 0},
                                {-1 / 1.5, -kA / 1.5, -0.5 / 1.5},
                                {-1 / 1.5, kA / 1.5, -0.5 / 1.5},
                                {1.0 / 6, kB / 6, 2.0 / 6},
                                {1.0 / 6, -kB / 6, 2.0 / 6},
                                {0, 0, 1}};

template <int N>
void transform(const double (&g)[N][3], const float* kernel, float* transformed) {
  double half[N][3];
  for (int i = 0; i < N; ++i) {
    for (int x = 0; x < 3; ++x) {
      half[i][x] = 0;
      for (int y = 0; y < 3; ++y) half[i][x] += g[i][y] * static_cast<double>(kernel[y * 3 + x]);
    }
  }
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) {
      double sum = 0;
      for (int x = 0; x < 3; ++x) sum += half[i][x] * g[j][x];
      transformed[i * N + j] = static_cast<float>(sum);
    }
  }
}

}  // namespace

void transform_weights(int m, const float* kernel, float* transformed) {
  if (m == 2) {
    transform(kTwo, kernel, transformed);
  } else {
    transform(kFour, kernel, transformed);
  }
}

}  // namespace polyadic

// The one body of every float32 kernel, over Vec. Included once by each ISA's file after its vec_*.h.
#include "float_kernels.h"

namespace {

using polyadic::kTileLoad;

template <int Pixels, int Blocks>
void conv_tile(const float* const* src, const std::int32_t* offsets, std::int64_t k, const float* weights,
               float* const* dst, std::ptrdiff_t dst_block, int flags) {
  const float* in[Pixels];
  Vec acc[Pixels][Blocks];
  for (int p = 0; p < Pixels; ++p) {
    in[p] = src[p];
    for (int m = 0; m < Blocks; ++m) {
      acc[p][m] = flags & kTileLoad ? Vec::load(dst[p] + m * dst_block) : Vec::zero();
    }
  }
  for (std::int64_t i = 0; i < k; ++i) {
    const std::ptrdiff_t offset = offsets[i];
    Vec w[Blocks];
    for (int m = 0; m < Blocks; ++m) w[m] = Vec::load(weights + m * Vec::kLanes);
    weights += Blocks * Vec::kLanes;
    for (int p = 0; p < Pixels; ++p) {
      const Vec x = Vec::broadcast(in[p][offset]);
      for (int m = 0; m < Blocks; ++m) acc[p][m] = fma(x, w[m], acc[p][m]);
    }
  }
  for (int p = 0; p < Pixels; ++p) {
    for (int m = 0; m < Blocks; ++m) acc[p][m].store(dst[p] + m * dst_block);
  }
}

template <int Taps, int Blocks>
void conv_grad_tile(const float* const* src, const float* const* diff, std::int64_t pixels, const std::int32_t* offsets,
                    std::ptrdiff_t diff_block, float* grad) {
  std::ptrdiff_t offset[Taps];
  Vec acc[Taps][Blocks];
  for (int j = 0; j < Taps; ++j) {
    offset[j] = offsets[j];
    for (int m = 0; m < Blocks; ++m) acc[j][m] = Vec::load(grad + (j * Blocks + m) * Vec::kLanes);
  }
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* x = src[p];
    Vec d[Blocks];
    for (int m = 0; m < Blocks; ++m) d[m] = Vec::load(diff[p] + m * diff_block);
    for (int j = 0; j < Taps; ++j) {
      const Vec value = Vec::broadcast(x[offset[j]]);
      for (int m = 0; m < Blocks; ++m) acc[j][m] = fma(value, d[m], acc[j][m]);
    }
  }
  for (int j = 0; j < Taps; ++j) {
    for (int m = 0; m < Blocks; ++m) acc[j][m].store(grad + (j * Blocks + m) * Vec::kLanes);
  }
}

template <int Pixels>
void depthwise_tile(const float* const* src, const std::int32_t* offsets, std::int64_t k, const float* weights,
                    float* const* dst, int flags) {
  const float* in[Pixels];
  Vec acc[Pixels];
  for (int p = 0; p < Pixels; ++p) {
    in[p] = src[p];
    acc[p] = flags & kTileLoad ? Vec::load(dst[p]) : Vec::zero();
  }
  for (std::int64_t i = 0; i < k; ++i) {
    const std::ptrdiff_t offset = offsets[i];
    const Vec w = Vec::load(weights + i * Vec::kLanes);
    for (int p = 0; p < Pixels; ++p) acc[p] = fma(Vec::load(in[p] + offset), w, acc[p]);
  }
  for (int p = 0; p < Pixels; ++p) acc[p].store(dst[p]);
}

template <int Taps>
void depthwise_grad_tile(const float* const* src, const float* const* diff, std::int64_t pixels,
                         const std::int32_t* offsets, float* grad) {
  std::ptrdiff_t offset[Taps];
  Vec acc[Taps];
  for (int j = 0; j < Taps; ++j) {
    offset[j] = offsets[j];
    acc[j] = Vec::load(grad + j * Vec::kLanes);
  }
  for (std::int64_t p = 0; p < pixels; ++p) {
    const Vec d = Vec::load(diff[p]);
    for (int j = 0; j < Taps; ++j) acc[j] = fma(Vec::load(src[p] + offset[j]), d, acc[j]);
  }
  for (int j = 0; j < Taps; ++j) acc[j].store(grad + j * Vec::kLanes);
}

// Rows of the table: one instance a tile size, null where a tile would not fit the registers.
#define POLYADIC_ROW(kernel, limit, blocks)                                                                         \
  {                                                                                                                 \
    1 <= limit ? kernel<1, blocks> : nullptr, 2 <= limit ? kernel<2, blocks> : nullptr,                             \
        3 <= limit ? kernel<3, blocks> : nullptr, 4 <= limit ? kernel<4, blocks> : nullptr,                         \
        5 <= limit ? kernel<5, blocks> : nullptr, 6 <= limit ? kernel<6, blocks> : nullptr,                         \
        7 <= limit ? kernel<7, blocks> : nullptr, 8 <= limit ? kernel<8, blocks> : nullptr                          \
  }

template <int P1, int P2, int P3, int P4, int Preferred>
constexpr polyadic::FloatKernels float_kernels() {
  return {Vec::kLanes,
          {P1, P2, P3, P4},
          Preferred,
          {P1, P2, P3, P4},
          8,
          8,
          {POLYADIC_ROW(conv_tile, P1, 1), POLYADIC_ROW(conv_tile, P2, 2), POLYADIC_ROW(conv_tile, P3, 3),
           POLYADIC_ROW(conv_tile, P4, 4)},
          {POLYADIC_ROW(conv_grad_tile, P1, 1), POLYADIC_ROW(conv_grad_tile, P2, 2), POLYADIC_ROW(conv_grad_tile, P3, 3),
           POLYADIC_ROW(conv_grad_tile, P4, 4)},
          {depthwise_tile<1>, depthwise_tile<2>, depthwise_tile<3>, depthwise_tile<4>, depthwise_tile<5>,
           depthwise_tile<6>, depthwise_tile<7>, depthwise_tile<8>},
          {depthwise_grad_tile<1>, depthwise_grad_tile<2>, depthwise_grad_tile<3>, depthwise_grad_tile<4>,
           depthwise_grad_tile<5>, depthwise_grad_tile<6>, depthwise_grad_tile<7>, depthwise_grad_tile<8>}};
}

#undef POLYADIC_ROW

}  // namespace

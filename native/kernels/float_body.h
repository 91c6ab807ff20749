// The one body of every float32 kernel, over Vec. Included once by each ISA's file after its vec_*.h.
#include "depthwise_body.h"
#include "float_kernels.h"

namespace {

using polyadic::GradArgs;
using polyadic::TileArgs;

// What an accumulator starts from.
inline Vec tile_begin(const TileArgs& args, int pixel, int block, int blocks) {
  if (args.flags & polyadic::kFromPartial) return Vec::load(args.partial + (pixel * blocks + block) * Vec::kLanes);
  if (args.flags & polyadic::kFromDst) return Vec::load(args.dst[pixel] + args.dst_offset + block * args.dst_block);
  if (args.flags & polyadic::kFromBias) return Vec::load(args.bias + block * Vec::kLanes);
  return Vec::zero();
}

// Stores a finished block.
inline void tile_store(const TileArgs& args, int pixel, int block, Vec sum) {
  float* dst = args.dst[pixel] + args.dst_offset + block * args.dst_block;
  if (args.flags & polyadic::kMaxDst) sum = max(Vec::load(dst), sum);
  // The sum comes second: where it is NaN, the vector maximum gives it back.
  if (args.flags & polyadic::kRelu) sum = max(Vec::zero(), sum);
  sum.store(dst);
}

inline void tile_end(const TileArgs& args, int pixel, int block, int blocks, Vec sum) {
  if (args.flags & polyadic::kToPartial) {
    sum.store(args.partial + (pixel * blocks + block) * Vec::kLanes);
  } else {
    tile_store(args, pixel, block, sum);
  }
}

template <int Pixels, int Blocks>
void conv_tile(const TileArgs& given) {
  const TileArgs args = given;  // a copy of our own: stores to dst cannot change it
  const float* in[Pixels];
  Vec acc[Pixels][Blocks];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    in[p] = held(args.src[p] + args.src_offset);
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) acc[p][m] = tile_begin(args, p, m, Blocks);
  }
  const std::int32_t* offsets = args.offsets;
  const float* weights = args.weights;
  for (std::int64_t i = 0; i < args.k; ++i) {
    const std::ptrdiff_t offset = offsets[i];
    Vec w[Blocks];
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) w[m] = Vec::load(weights + m * Vec::kLanes);
    weights += Blocks * Vec::kLanes;
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      const Vec x = Vec::broadcast(in[p][offset]);
#pragma GCC unroll 4
      for (int m = 0; m < Blocks; ++m) acc[p][m] = fma(x, w[m], acc[p][m]);
    }
  }
  if (Blocks % 2 == 0 && (args.flags & polyadic::kMaxPairs)) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int m = 0; m < Blocks / 2; ++m) tile_store(args, p, m, max(acc[p][2 * m], acc[p][2 * m + 1]));
    }
    return;
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) tile_end(args, p, m, Blocks, acc[p][m]);
  }
}

template <int Taps, int Blocks>
void conv_grad_tile(const GradArgs& args) {
  std::ptrdiff_t offset[Taps];
  Vec acc[Taps][Blocks];
#pragma GCC unroll 8
  for (int j = 0; j < Taps; ++j) {
    offset[j] = args.src_offset + args.offsets[j];
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) acc[j][m] = Vec::load(args.grad + (j * Blocks + m) * Vec::kLanes);
  }
  const std::ptrdiff_t diff_block = args.diff_block;
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    const float* x = args.src[p];
    const float* diff = args.diff[p] + args.diff_offset;
    Vec d[Blocks];
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) d[m] = Vec::load(diff + m * diff_block);
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) {
      const Vec value = Vec::broadcast(x[offset[j]]);
#pragma GCC unroll 4
      for (int m = 0; m < Blocks; ++m) acc[j][m] = fma(value, d[m], acc[j][m]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < Taps; ++j) {
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) acc[j][m].store(args.grad + (j * Blocks + m) * Vec::kLanes);
  }
}

template <int Pixels>
void depthwise_tile(const TileArgs& given) {
  const TileArgs args = given;
  const bool plain = args.flags == 0;  // the middle of a CP block: few taps, so the tile's ends count
  const float* in[Pixels];
  Vec acc[Pixels];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    in[p] = held(args.src[p] + args.src_offset);
    acc[p] = plain ? Vec::zero() : tile_begin(args, p, 0, 1);
  }
  for (std::int64_t i = 0; i < args.k; ++i) {
    const std::ptrdiff_t offset = args.offsets[i];
    const Vec w = Vec::load(args.weights + i * Vec::kLanes);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[p] = fma(Vec::load(in[p] + offset), w, acc[p]);
  }
  if (plain) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[p].store(args.dst[p] + args.dst_offset);
    return;
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) tile_end(args, p, 0, 1, acc[p]);
}

float peak_loop(std::int64_t rounds) {
  constexpr int kChains = 12;
  Vec acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = Vec::zero();
  Vec a = Vec::broadcast(1.0f), b = Vec::broadcast(1e-9f);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = fma(a, acc[i], b);
  }
  float lanes[Vec::kLanes], sum = 0;
  for (int i = 0; i < kChains; ++i) {
    acc[i].store(lanes);
    for (int lane = 0; lane < Vec::kLanes; ++lane) sum += lanes[lane];
  }
  return sum;
}

// Rows of the table: one instance a tile size, null where a tile would not fit the registers or no panel is so wide.
#define POLYADIC_ROW(kernel, limit, blocks)                                                 \
  {                                                                                         \
    1 <= limit ? kernel<1, blocks> : nullptr, 2 <= limit ? kernel<2, blocks> : nullptr,     \
        3 <= limit ? kernel<3, blocks> : nullptr, 4 <= limit ? kernel<4, blocks> : nullptr, \
        5 <= limit ? kernel<5, blocks> : nullptr, 6 <= limit ? kernel<6, blocks> : nullptr, \
        7 <= limit ? kernel<7, blocks> : nullptr, 8 <= limit ? kernel<8, blocks> : nullptr  \
  }

template <int P1, int P2, int P3, int P4, int Preferred>
constexpr polyadic::FloatKernels float_kernels() {
  return {Vec::kLanes,
          {P1, P2, P3, P4},
          Preferred,
          {P1, P2, P3, P4},
          8,
          {POLYADIC_ROW(conv_tile, P1, 1), POLYADIC_ROW(conv_tile, P2, 2), POLYADIC_ROW(conv_tile, P3, 3),
           POLYADIC_ROW(conv_tile, P4, 4)},
          {POLYADIC_ROW(conv_grad_tile, P1, 1), POLYADIC_ROW(conv_grad_tile, P2, 2),
           POLYADIC_ROW(conv_grad_tile, P3, 3), POLYADIC_ROW(conv_grad_tile, P4, 4)},
          {depthwise_tile<1>, depthwise_tile<2>, depthwise_tile<3>, depthwise_tile<4>, depthwise_tile<5>,
           depthwise_tile<6>, depthwise_tile<7>, depthwise_tile<8>},
          depthwise_rows,
          depthwise_pair,
          peak_loop};
}

#undef POLYADIC_ROW

}  // namespace

// The one body of every float32 kernel, over Vec. Included once by each ISA's file after its vec_*.h.
#include "float_kernels.h"

namespace {

using polyadic::GradArgs;
using polyadic::RowArgs;
using polyadic::TileArgs;

// Keeps a pointer in one register: compilers like to split off the part that all pixels share, which costs an addition
// a pixel and tap.
inline const float* held(const float* pointer) {
#ifdef __GNUC__
  __asm__("" : "+r"(pointer));
#endif
  return pointer;
}

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
  // The sum comes second: where it is NaN, the vector maximum gives it back.
  if (args.flags & polyadic::kMaxDst) sum = max(Vec::load(dst), sum);
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

constexpr int kRun = 8;  // pixels of a row whose sums stand in registers together

// Sums of neighbouring pixels over Taps taps, or with Taps = 0 over any number of them.
template <int Taps, int Pixels>
inline void depthwise_run(const RowArgs& args, const Vec* w, const float* src, float* dst) {
  Vec acc[Pixels];
  const Vec begin = args.flags & polyadic::kFromBias ? Vec::load(args.bias) : Vec::zero();
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) acc[p] = begin;
  if (Taps > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < Taps; ++i) {
      const float* in = src + args.offsets[i];
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) acc[p] = fma(Vec::load(in + p * Vec::kLanes), w[i], acc[p]);
    }
  } else {
    for (std::int64_t i = 0; i < args.k; ++i) {
      const float* in = src + args.offsets[i];
      const Vec weight = Vec::load(args.weights + i * Vec::kLanes);
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) acc[p] = fma(Vec::load(in + p * Vec::kLanes), weight, acc[p]);
    }
  }
  if (args.flags & polyadic::kRelu) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[p] = max(Vec::zero(), acc[p]);
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) acc[p].store(dst + p * Vec::kLanes);
}

// One row. The weights of a few taps stay in registers.
template <int Taps, int Pixels>
void depthwise_line(const RowArgs& args, const float* src, float* dst) {
  Vec w[Taps > 0 ? Taps : 1];
#pragma GCC unroll 16
  for (int i = 0; i < Taps; ++i) w[i] = Vec::load(args.weights + i * Vec::kLanes);
  const std::int64_t last = args.pixels - Pixels;
  for (std::int64_t x = 0; x < last; x += Pixels)
    depthwise_run<Taps, Pixels>(args, w, src + x * Vec::kLanes, dst + x * Vec::kLanes);
  // The last run ends with the row, over pixels of the one before it.
  depthwise_run<Taps, Pixels>(args, w, src + last * Vec::kLanes, dst + last * Vec::kLanes);
}

using DepthwiseLine = void (*)(const RowArgs&, const float*, float*);

// Rows as runs of nearly the same width.
DepthwiseLine line_kernel(const RowArgs& args) {
#define POLYADIC_LINES(taps)                                                                               \
  {                                                                                                        \
    depthwise_line<taps, 1>, depthwise_line<taps, 2>, depthwise_line<taps, 3>, depthwise_line<taps, 4>,    \
        depthwise_line<taps, 5>, depthwise_line<taps, 6>, depthwise_line<taps, 7>, depthwise_line<taps, 8> \
  }
  constexpr DepthwiseLine lines[][kRun] = {POLYADIC_LINES(0), POLYADIC_LINES(1), POLYADIC_LINES(2), POLYADIC_LINES(3),
                                           POLYADIC_LINES(4), POLYADIC_LINES(5), POLYADIC_LINES(6), POLYADIC_LINES(7),
                                           POLYADIC_LINES(8), POLYADIC_LINES(9)};
#undef POLYADIC_LINES
  const std::int64_t runs = (args.pixels + kRun - 1) / kRun;
  return lines[args.k <= Vec::kHeldTaps ? args.k : 0][(args.pixels + runs - 1) / runs - 1];
}

void depthwise_rows(const RowArgs& given) {
  const RowArgs args = given;
  const DepthwiseLine line = line_kernel(args);
  for (std::int64_t y = 0; y < args.rows; ++y) line(args, args.src + y * args.src_row, args.dst + y * args.dst_row);
}

void depthwise_pair(const RowArgs& given_first, const RowArgs& given_second) {
  const RowArgs first = given_first, second = given_second;
  const DepthwiseLine line = line_kernel(first), next = line_kernel(second);
  // The first is a row ahead, so that its sums need not be waited for.
  const auto ahead = [&](std::int64_t y) {
    line(first, first.src + y * first.src_row, first.dst + y % 2 * first.dst_row);
  };
  if (second.rows > 0) ahead(0);
  for (std::int64_t y = 0; y < second.rows; ++y) {
    if (y + 1 < second.rows) ahead(y + 1);
    next(second, second.src + y % 2 * first.dst_row, second.dst + y * second.dst_row);
  }
}

template <int Taps>
void depthwise_grad_tile(const GradArgs& args) {
  std::ptrdiff_t offset[Taps];
  Vec acc[Taps];
#pragma GCC unroll 8
  for (int j = 0; j < Taps; ++j) {
    offset[j] = args.src_offset + args.offsets[j];
    acc[j] = Vec::load(args.grad + j * Vec::kLanes);
  }
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    const float* x = args.src[p];
    const Vec d = Vec::load(args.diff[p] + args.diff_offset);
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) acc[j] = fma(Vec::load(x + offset[j]), d, acc[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < Taps; ++j) acc[j].store(args.grad + j * Vec::kLanes);
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

// Rows of the table: one instance a tile size, null where a tile would not fit the registers.
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
          8,
          {POLYADIC_ROW(conv_tile, P1, 1), POLYADIC_ROW(conv_tile, P2, 2), POLYADIC_ROW(conv_tile, P3, 3),
           POLYADIC_ROW(conv_tile, P4, 4)},
          {POLYADIC_ROW(conv_grad_tile, P1, 1), POLYADIC_ROW(conv_grad_tile, P2, 2),
           POLYADIC_ROW(conv_grad_tile, P3, 3), POLYADIC_ROW(conv_grad_tile, P4, 4)},
          {depthwise_tile<1>, depthwise_tile<2>, depthwise_tile<3>, depthwise_tile<4>, depthwise_tile<5>,
           depthwise_tile<6>, depthwise_tile<7>, depthwise_tile<8>},
          depthwise_rows,
          depthwise_pair,
          {depthwise_grad_tile<1>, depthwise_grad_tile<2>, depthwise_grad_tile<3>, depthwise_grad_tile<4>,
           depthwise_grad_tile<5>, depthwise_grad_tile<6>, depthwise_grad_tile<7>, depthwise_grad_tile<8>},
          peak_loop};
}

#undef POLYADIC_ROW

}  // namespace

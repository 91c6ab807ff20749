// The twin of every bfloat16 kernel in plain C++: the same products in the same order with the same rounding.
#include <math.h>

#include "bf16_kernels.h"

namespace {

using polyadic::Bf16;
using polyadic::Bf16FinishArgs;
using polyadic::Bf16PoolArgs;
using polyadic::Bf16RowArgs;
using polyadic::Bf16StripArgs;
using polyadic::Bf16TileArgs;

union Word {
  std::uint32_t bits;
  float value;
};

// Denormals are zeros of their sign.
inline float flushed(float x) {
  Word word;
  word.value = x;
  if ((word.bits & 0x7f800000u) == 0) word.bits &= 0x80000000u;
  return word.value;
}

inline float widened(Bf16 x) {
  Word word;
  word.bits = static_cast<std::uint32_t>(x) << 16;
  return word.value;
}

// To nearest even.
inline Bf16 rounded(float x) {
  Word word;
  word.value = flushed(x);
  if ((word.bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>(word.bits >> 16 | 0x40u);
  return static_cast<Bf16>((word.bits + 0x7fffu + (word.bits >> 16 & 1u)) >> 16);
}

inline float dot(float sum, const Bf16* a, const Bf16* b) {
  sum = flushed(fmaf(flushed(widened(a[1])), flushed(widened(b[1])), flushed(sum)));
  return flushed(fmaf(flushed(widened(a[0])), flushed(widened(b[0])), sum));
}

// As the vector maximum: where one is NaN, the second.
inline float larger(float a, float b) { return a > b ? a : b; }
inline float larger_or_nan(float a, float b) { return a > b || a != a ? a : b; }

inline float load(const void* from, std::ptrdiff_t at, bool half) {
  return half ? widened(static_cast<const Bf16*>(from)[at]) : static_cast<const float*>(from)[at];
}

inline void store(void* to, std::ptrdiff_t at, bool half, float value) {
  if (half) {
    static_cast<Bf16*>(to)[at] = rounded(value);
  } else {
    static_cast<float*>(to)[at] = value;
  }
}

// Lane `at` of a tile's row of blocks, summed for one pixel.
float sum_of(const Bf16TileArgs& args, int pixel, int at) {
  const int width = args.blocks * args.block;
  float sum = 0;
  if (args.flags & polyadic::kFromPartial) {
    sum = args.partial[pixel * width + at];
  } else if (args.flags & polyadic::kFromBias) {
    sum = args.bias[at];
  }
  for (std::int64_t i = 0; i < args.k; ++i)
    sum = dot(sum, args.src[pixel] + args.offsets[i], args.weights + 2 * (i * width + at));
  return sum;
}

void store_sum(const Bf16TileArgs& args, int pixel, int m, int lane, float sum) {
  const bool half = (args.flags & polyadic::kStoreBf16) != 0;
  const std::ptrdiff_t at = args.dst_offset + m * args.dst_block + lane;
  if (args.flags & polyadic::kMaxDst) sum = larger(load(args.dst[pixel], at, half), sum);
  if (args.flags & polyadic::kRelu) sum = larger(0.0f, sum);
  store(args.dst[pixel], at, half, sum);
}

void tile(const Bf16TileArgs& args) {
  const int block = args.block;
  for (int p = 0; p < args.pixels; ++p) {
    for (int lane = 0; lane < block; ++lane) {
      if (args.flags & polyadic::kMaxPairs) {
        for (int m = 0; m < args.blocks; m += 2) {
          const float even = sum_of(args, p, m * block + lane), odd = sum_of(args, p, (m + 1) * block + lane);
          store_sum(args, p, m / 2, lane, larger(even, odd));
        }
        continue;
      }
      for (int m = 0; m < args.blocks; ++m) {
        const float sum = sum_of(args, p, m * block + lane);
        if (args.flags & polyadic::kToPartial) {
          args.partial[(p * args.blocks + m) * block + lane] = sum;
        } else {
          store_sum(args, p, m, lane, sum);
        }
      }
    }
  }
}

template <bool FromHalf, bool ToHalf>
void rows(const Bf16RowArgs& args) {
  for (std::int64_t y = 0; y < args.rows; ++y) {
    for (std::int64_t x = 0; x < args.pixels; ++x) {
      for (int lane = 0; lane < args.block; ++lane) {
        float sum = args.flags & polyadic::kFromBias ? args.bias[lane] : 0.0f;
        for (std::int64_t i = 0; i < args.k; ++i) {
          const std::ptrdiff_t from = y * args.src_row + x * args.src_step + args.offsets[i] + lane;
          sum = fmaf(load(args.src, from, FromHalf), args.weights[i * args.block + lane], sum);
        }
        if (args.flags & polyadic::kRelu) sum = larger(0.0f, sum);
        store(args.dst, y * args.dst_row + x * args.dst_step + lane, ToHalf, sum);
      }
    }
  }
}

template <bool FromHalf, bool ToHalf>
void pool(const Bf16PoolArgs& args) {
  for (std::int64_t x = 0; x < args.pixels; ++x) {
    for (int lane = 0; lane < args.block; ++lane) {
      float value = args.maximum ? -INFINITY : 0.0f;
      for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t c = 0; c < args.columns; ++c) {
          const float one = load(args.src, x * args.src_step + r * args.src_row + c * args.src_column + lane, FromHalf);
          value = args.maximum ? larger_or_nan(one, value) : value + one;
        }
      }
      store(args.dst, x * args.dst_step + lane, ToHalf, args.maximum ? value : value / args.count);
    }
  }
}

void finish(const Bf16FinishArgs& args) {
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    for (int lane = 0; args.dst[p] && lane < args.block; ++lane) {
      float sum = args.sums[p * args.block + lane];
      if (args.residual)
        sum += load(args.residual[p], args.residual_offset + lane, (args.flags & polyadic::kBf16Residual) != 0);
      if (args.flags & polyadic::kRelu) sum = larger(0.0f, sum);
      store(args.dst[p], args.dst_offset + lane, (args.flags & polyadic::kStoreBf16) != 0, sum);
    }
  }
}

void round(const float* x, Bf16* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = rounded(x[i]);
}

template <bool FromHalf, bool ToHalf>
void strip(const Bf16StripArgs& args) {
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    for (int lane = 0; lane < args.block; ++lane)
      store(args.dst, p * args.dst_step + lane, ToHalf, load(args.src, p * args.src_step + lane, FromHalf));
  }
}

float peak_loop(std::int64_t rounds) {
  const Bf16 pair[2] = {0x3f80, 0x3080};
  float sum = 0;
  for (std::int64_t i = 0; i < rounds * 24; ++i) sum = dot(sum, pair, pair);
  return sum;
}

}  // namespace

namespace polyadic {

const Bf16Kernels kernels_bf16_scalar = {
    "scalar",
    0,
    {8, 8, 8, 6},
    {{tile, tile, tile, tile, tile, tile, tile, tile},
     {tile, tile, tile, tile, tile, tile, tile, tile},
     {tile, tile, tile, tile, tile, tile, tile, tile},
     {tile, tile, tile, tile, tile, tile, nullptr, nullptr}},
    {{rows<false, false>, rows<false, true>}, {rows<true, false>, rows<true, true>}},
    {{pool<false, false>, pool<false, true>}, {pool<true, false>, pool<true, true>}},
    finish,
    round,
    strip<false, true>,
    strip<true, false>,
    peak_loop};

}  // namespace polyadic

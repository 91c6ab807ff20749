// bfloat16 kernels for AVX512-BF16. What they compute is stated in bf16_kernels.h and in plain C++ in bf16_scalar.cpp.
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "bf16_avx512_body.h"

namespace {

using polyadic::Bf16;
using polyadic::Bf16FinishArgs;
using polyadic::Bf16PoolArgs;
using polyadic::Bf16RowArgs;
using polyadic::Bf16StripArgs;
using polyadic::Bf16TileArgs;

// Keeps a pointer in one register: see float_body.h.
template <class T>
inline const T* held(const T* pointer) {
#ifdef __GNUC__
  __asm__("" : "+r"(pointer));
#endif
  return pointer;
}

inline __m512bh pairs(const Bf16* from) {
  __m512bh value;
  memcpy(&value, from, sizeof value);
  return value;
}

// Two neighbours, in every lane.
inline __m512bh broadcast(const Bf16* from) {
  std::int32_t pair;
  memcpy(&pair, from, sizeof pair);
  const __m512i value = _mm512_set1_epi32(pair);
  __m512bh result;
  memcpy(&result, &value, sizeof result);
  return result;
}

inline __m512 tile_begin(const Bf16TileArgs& args, int pixel, int block, int blocks) {
  if (args.flags & polyadic::kFromPartial) return load(args.partial + (pixel * blocks + block) * kLanes);
  if (args.flags & polyadic::kFromBias) return load(args.bias + block * kLanes);
  return _mm512_setzero_ps();
}

template <int Pixels, int Blocks>
void tile(const Bf16TileArgs& given) {
  const Bf16TileArgs args = given;
  const Bf16* in[Pixels];
  __m512 acc[Pixels][Blocks];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    in[p] = held(args.src[p]);
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) acc[p][m] = tile_begin(args, p, m, Blocks);
  }
  const std::int32_t* offsets = args.offsets;
  const Bf16* weights = args.weights;
  for (std::int64_t i = 0; i < args.k; ++i) {
    const std::ptrdiff_t offset = offsets[i];
    __m512bh w[Blocks];
#pragma GCC unroll 4
    for (int m = 0; m < Blocks; ++m) w[m] = pairs(weights + m * 2 * kLanes);
    weights += Blocks * 2 * kLanes;
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      const __m512bh x = broadcast(in[p] + offset);
#pragma GCC unroll 4
      for (int m = 0; m < Blocks; ++m) acc[p][m] = _mm512_dpbf16_ps(acc[p][m], x, w[m]);
    }
  }
  if (args.flags & polyadic::kToPartial) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
      for (int m = 0; m < Blocks; ++m) store(args.partial + (p * Blocks + m) * kLanes, acc[p][m]);
    }
  } else if (args.flags & polyadic::kStoreBf16) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) pixel_finish<Bf16>(args, p, acc[p]);
  } else {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) pixel_finish<float>(args, p, acc[p]);
  }
}

template <class From, class To, int Pixels>
inline void row_run(const Bf16RowArgs& args, const From* src, To* dst) {
  __m512 acc[Pixels];
  const __m512 begin = args.flags & polyadic::kFromBias ? load(args.bias) : _mm512_setzero_ps();
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) acc[p] = begin;
  const float* weights = args.weights;
  const std::ptrdiff_t step = args.src_step;
  for (std::int64_t i = 0; i < args.k; ++i, weights += kLanes) {
    const From* in = src + args.offsets[i];
    const __m512 w = load(weights);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[p] = _mm512_fmadd_ps(load(in + p * step), w, acc[p]);
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) store(dst + p * args.dst_step, args.flags & polyadic::kRelu ? relu(acc[p]) : acc[p]);
}

template <class From, class To, int Pixels>
void each_row(const Bf16RowArgs& args) {
  const From* src = static_cast<const From*>(args.src);
  To* dst = static_cast<To*>(args.dst);
  const std::int64_t last = args.pixels - Pixels;
  for (std::int64_t y = 0; y < args.rows; ++y, src += args.src_row, dst += args.dst_row) {
    for (std::int64_t x = 0; x < last; x += Pixels)
      row_run<From, To, Pixels>(args, src + x * args.src_step, dst + x * args.dst_step);
    // The last run ends with the row, over pixels of the one before it.
    row_run<From, To, Pixels>(args, src + last * args.src_step, dst + last * args.dst_step);
  }
}

template <class From, class To>
void rows(const Bf16RowArgs& given) {
  const Bf16RowArgs args = given;
  switch (args.pixels < 8 ? args.pixels : 8) {
    case 1:
      return each_row<From, To, 1>(args);
    case 2:
      return each_row<From, To, 2>(args);
    case 3:
      return each_row<From, To, 3>(args);
    case 4:
      return each_row<From, To, 4>(args);
    case 5:
      return each_row<From, To, 5>(args);
    case 6:
      return each_row<From, To, 6>(args);
    case 7:
      return each_row<From, To, 7>(args);
    default:
      return each_row<From, To, 8>(args);
  }
}

template <class From, class To>
void pool(const Bf16PoolArgs& given) {
  const Bf16PoolArgs args = given;
  const From* src = static_cast<const From*>(args.src);
  To* dst = static_cast<To*>(args.dst);
  const __m512 begin = args.maximum ? _mm512_set1_ps(-INFINITY) : _mm512_setzero_ps();
  const __m512 count = _mm512_set1_ps(args.count);
  for (std::int64_t x = 0; x < args.pixels; ++x, src += args.src_step, dst += args.dst_step) {
    __m512 value = begin;
    for (std::int64_t r = 0; r < args.rows; ++r) {
      const From* in = src + r * args.src_row;
      for (std::int64_t c = 0; c < args.columns; ++c, in += args.src_column)
        value = args.maximum ? max_or_nan(load(in), value) : _mm512_add_ps(value, load(in));
    }
    store(dst, args.maximum ? value : _mm512_div_ps(value, count));
  }
}

void finish(const Bf16FinishArgs& given) {
  const Bf16FinishArgs args = given;
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    if (!args.dst[p]) continue;
    __m512 sum = load(args.sums + p * kLanes);
    if (args.residual) {
      const bool half = args.flags & polyadic::kBf16Residual;
      sum = _mm512_add_ps(sum, half ? load(static_cast<const Bf16*>(args.residual[p]) + args.residual_offset)
                                    : load(static_cast<const float*>(args.residual[p]) + args.residual_offset));
    }
    if (args.flags & polyadic::kRelu) sum = relu(sum);
    if (args.flags & polyadic::kStoreBf16) {
      store(static_cast<Bf16*>(args.dst[p]) + args.dst_offset, sum);
    } else {
      store(static_cast<float*>(args.dst[p]) + args.dst_offset, sum);
    }
  }
}

void round(const float* x, Bf16* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, load(x + i));
  if (i == count) return;
  const __mmask16 mask = static_cast<__mmask16>((1u << (count - i)) - 1);
  const __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
  __m256i bits;
  memcpy(&bits, &half, sizeof bits);
  _mm256_mask_storeu_epi16(y + i, mask, bits);
}

template <class From, class To>
void strip(const Bf16StripArgs& given) {
  const Bf16StripArgs args = given;
  const From* src = static_cast<const From*>(args.src);
  To* dst = static_cast<To*>(args.dst);
  for (std::int64_t p = 0; p < args.pixels; ++p) store(dst + p * args.dst_step, load(src + p * args.src_step));
}

float peak_loop(std::int64_t rounds) {
  constexpr int kChains = 24;
  __m512 acc[kChains];
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_setzero_ps();
  const Bf16 one[2] = {0x3f80, 0x3f80}, small[2] = {0x3080, 0x3080};
  const __m512bh a = broadcast(one), b = broadcast(small);
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
  }
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += _mm512_reduce_add_ps(acc[i]);
  return sum;
}

}  // namespace

namespace polyadic {

const Bf16Kernels kernels_bf16_avx512 = {
    "avx512_bf16",
    kLanes,
    {8, 8, 8, 6},
    {{tile<1, 1>, tile<2, 1>, tile<3, 1>, tile<4, 1>, tile<5, 1>, tile<6, 1>, tile<7, 1>, tile<8, 1>},
     {tile<1, 2>, tile<2, 2>, tile<3, 2>, tile<4, 2>, tile<5, 2>, tile<6, 2>, tile<7, 2>, tile<8, 2>},
     {tile<1, 3>, tile<2, 3>, tile<3, 3>, tile<4, 3>, tile<5, 3>, tile<6, 3>, tile<7, 3>, tile<8, 3>},
     {tile<1, 4>, tile<2, 4>, tile<3, 4>, tile<4, 4>, tile<5, 4>, tile<6, 4>, nullptr, nullptr}},
    {{rows<float, float>, rows<float, Bf16>}, {rows<Bf16, float>, rows<Bf16, Bf16>}},
    {{pool<float, float>, pool<float, Bf16>}, {pool<Bf16, float>, pool<Bf16, Bf16>}},
    finish,
    round,
    strip<float, Bf16>,
    strip<Bf16, float>,
    peak_loop};

}  // namespace polyadic

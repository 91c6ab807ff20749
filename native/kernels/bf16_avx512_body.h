// What the bfloat16 kernels of AVX-512 share: loads, stores and what follows a sum. For kernel files, whose compiler
// flags it takes.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "bf16_kernels.h"

namespace {

using polyadic::Bf16;
using polyadic::Bf16Target;

constexpr int kLanes = 16;

inline __m512 load(const float* from) { return _mm512_loadu_ps(from); }

inline __m512 load(const Bf16* from) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline void store(float* to, __m512 value) { _mm512_storeu_ps(to, value); }

inline void store(Bf16* to, __m512 value) {
  const __m256bh half = _mm512_cvtneps_pbh(value);
  memcpy(to, &half, sizeof half);
}

// The sum comes second: where it is NaN, the vector maximum gives it back.
inline __m512 relu(__m512 sum) { return _mm512_max_ps(_mm512_setzero_ps(), sum); }

// NaN where either is.
inline __m512 max_or_nan(__m512 a, __m512 b) {
  return _mm512_mask_max_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a, b);
}

template <class T>
inline void tile_store(const Bf16Target& args, int pixel, int block, __m512 sum) {
  T* dst = static_cast<T*>(args.dst[pixel]) + args.dst_offset + block * args.dst_block;
  if (args.flags & polyadic::kMaxDst) sum = _mm512_max_ps(load(dst), sum);
  if (args.flags & polyadic::kRelu) sum = relu(sum);
  store(dst, sum);
}

// All blocks of one pixel.
template <class T, int Blocks>
inline void pixel_finish(const Bf16Target& args, int pixel, const __m512 (&acc)[Blocks]) {
  if (Blocks % 2 == 0 && (args.flags & polyadic::kMaxPairs)) {
#pragma GCC unroll 2
    for (int m = 0; m < Blocks / 2; ++m) tile_store<T>(args, pixel, m, _mm512_max_ps(acc[2 * m], acc[2 * m + 1]));
    return;
  }
#pragma GCC unroll 4
  for (int m = 0; m < Blocks; ++m) tile_store<T>(args, pixel, m, acc[m]);
}

}  // namespace

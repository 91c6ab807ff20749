// bfloat16 products on AMX tile registers. What they compute is stated in bf16_kernels.h; all that follows a sum is
// AVX-512, as in bf16_avx512.cpp.
#include "bf16_avx512_body.h"
#include "vec_avx512.h"

namespace {

using polyadic::Bf16CollectArgs;
using polyadic::Bf16MatrixArgs;
using polyadic::Bf16RowPiece;
using polyadic::kMatrixBlocks;
using polyadic::kMatrixDepth;
using polyadic::kMatrixPixels;
using polyadic::kMatrixRows;

// Every tile is a whole one, 16 rows of 64 bytes: rows of pixels that do not exist are computed and not stored, so that
// a thread is configured once and not for each size. Tiles 0 to 3 hold sums, 4 and 5 pixels, 6 and 7 weights.
struct Configuration {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};
alignas(64) const Configuration kConfiguration = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

void enter() { _tile_loadconfig(&kConfiguration); }

// Not left behind: the system would save 8 KiB at every switch of threads, and keep the core from sleeping deeply.
void leave() { _tile_release(); }

constexpr long kLine = 64;  // bytes of a tile's row, and of its weights' and sums' rows where they lie alone

// A tile's number is part of its instruction.
template <int Tile>
inline void load_tile(const void* from, long stride) {
  static_assert(Tile < 4, "sums");
  if constexpr (Tile == 0) _tile_loadd(0, from, stride);
  if constexpr (Tile == 1) _tile_loadd(1, from, stride);
  if constexpr (Tile == 2) _tile_loadd(2, from, stride);
  if constexpr (Tile == 3) _tile_loadd(3, from, stride);
}

template <int Tile>
inline void zero_tile() {
  if constexpr (Tile == 0) _tile_zero(0);
  if constexpr (Tile == 1) _tile_zero(1);
  if constexpr (Tile == 2) _tile_zero(2);
  if constexpr (Tile == 3) _tile_zero(3);
}

template <int Tile>
inline void store_tile(float* to, long stride) {
  if constexpr (Tile == 0) _tile_stored(0, to, stride);
  if constexpr (Tile == 1) _tile_stored(1, to, stride);
  if constexpr (Tile == 2) _tile_stored(2, to, stride);
  if constexpr (Tile == 3) _tile_stored(3, to, stride);
}

// Sums of 16 pixels and a channel block lie in the tile 2 · row + block.
template <int Row, int Block, int Blocks>
inline void begin(const Bf16MatrixArgs& args) {
  constexpr int kTile = 2 * Row + Block;
  if (args.flags & polyadic::kFromPartial) {
    load_tile<kTile>(args.partial + (Row * Blocks + Block) * kMatrixRows * kLanes, kLine);
  } else if (args.flags & polyadic::kFromBias) {
    load_tile<kTile>(args.bias + Block * kLanes, 0);  // the same row 16 times
  } else {
    zero_tile<kTile>();
  }
}

// `block`, `row`: floats to the next block of channels and the next 16 pixels; `pixel`: bytes to the next pixel.
template <int Rows, int Blocks>
inline void store_sums(float* to, std::ptrdiff_t block, std::ptrdiff_t row, long pixel) {
  store_tile<0>(to, pixel);
  if constexpr (Blocks == 2) store_tile<1>(to + block, pixel);
  if constexpr (Rows == 2) store_tile<2>(to + row, pixel);
  if constexpr (Rows == 2 && Blocks == 2) store_tile<3>(to + row + block, pixel);
}

template <class T, int Blocks>
void finish_each(const Bf16MatrixArgs& args, const float* sums) {
  for (int p = 0; p < args.pixels; ++p, sums += Blocks * kLanes) {
    if (!args.dst[p]) continue;
    __m512 acc[Blocks];
    for (int m = 0; m < Blocks; ++m) acc[m] = load(sums + m * kLanes);
    pixel_finish<T>(args, p, acc);
  }
}

// Two blocks side by side: a line of bfloat16 a pixel.
template <bool Relu>
void finish_lines(const Bf16MatrixArgs& args, const float* sums) {
  for (int p = 0; p < args.pixels; ++p, sums += 2 * kLanes) {
    if (!args.dst[p]) continue;
    __m512 low = load(sums), high = load(sums + kLanes);
    if (Relu) low = relu(low), high = relu(high);
    const __m512bh line = _mm512_cvtne2ps_pbh(high, low);
    memcpy(static_cast<Bf16*>(args.dst[p]) + args.dst_offset, &line, sizeof line);
  }
}

template <int Blocks>
void finish(const Bf16MatrixArgs& args, const float* sums) {
  if (!(args.flags & polyadic::kStoreBf16)) return finish_each<float, Blocks>(args, sums);
  const bool lines =
      Blocks == 2 && args.dst_block == kLanes && !(args.flags & (polyadic::kMaxDst | polyadic::kMaxPairs));
  if (!lines) return finish_each<Bf16, Blocks>(args, sums);
  return args.flags & polyadic::kRelu ? finish_lines<true>(args, sums) : finish_lines<false>(args, sums);
}

// Weights that come from the second-level cache or from further away are asked for so many steps before their turn.
constexpr long kStepsAhead = 4;
constexpr long step_bytes(int blocks) { return kMatrixRows * blocks * kLine; }

template <int Bytes>
inline void prefetch(const char* from) {
#pragma GCC unroll 16
  for (long at = 0; at < Bytes; at += kLine) _mm_prefetch(from + at, _MM_HINT_T0);
}

// 32 values of k. `Ahead`: asks for the weights of a later step.
template <int Rows, int Blocks, bool Ahead>
inline void step(const Bf16* first, const Bf16* second, long row, const char* weights) {
  const char* ahead = weights + kStepsAhead * step_bytes(Blocks);
  _tile_loadd(6, weights, Blocks * kLine);
  _tile_loadd(4, first, row);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (Ahead) prefetch<step_bytes(Blocks) / 2>(ahead);
  if constexpr (Blocks == 2) {
    _tile_loadd(7, weights + kLine, Blocks * kLine);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (Ahead) prefetch<step_bytes(Blocks) / 2>(ahead + step_bytes(Blocks) / 2);
  if constexpr (Rows == 2) {
    _tile_loadd(5, second, row);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (Blocks == 2) _tile_dpbf16ps(3, 5, 7);
  }
}

template <int Rows, int Blocks>
void product(const Bf16MatrixArgs& args) {
  begin<0, 0, Blocks>(args);
  if constexpr (Blocks == 2) begin<0, 1, Blocks>(args);
  if constexpr (Rows == 2) begin<1, 0, Blocks>(args);
  if constexpr (Rows == 2 && Blocks == 2) begin<1, 1, Blocks>(args);
  const Bf16 *const first = args.rows[0], *const second = args.rows[Rows - 1];
  const std::int32_t *offset = args.offsets, *const end = offset + args.steps;
  const std::int32_t* const far = args.steps > kStepsAhead ? end - kStepsAhead : offset;
  const long row = args.row_step * static_cast<long>(sizeof(Bf16));
  const char* weights = reinterpret_cast<const char*>(args.weights);
  for (; offset < far; ++offset, weights += step_bytes(Blocks))
    step<Rows, Blocks, true>(first + *offset, second + *offset, row, weights);
  for (; offset < end; ++offset, weights += step_bytes(Blocks))
    step<Rows, Blocks, false>(first + *offset, second + *offset, row, weights);
  constexpr long kTile = kMatrixRows * kLanes;
  if (args.flags & polyadic::kToPartial) return store_sums<Rows, Blocks>(args.partial, kTile, Blocks * kTile, kLine);
  if (args.sums) return store_sums<Rows, Blocks>(args.sums, args.dst_block, kTile, kLine);
  alignas(64) float sums[kMatrixPixels * kMatrixBlocks * kLanes];  // [pixels][blocks][16]
  store_sums<Rows, Blocks>(sums, kLanes, Blocks * kTile, Blocks * kLine);
  finish<Blocks>(args, sums);
}

void any_product(const Bf16MatrixArgs& args) {
  if (args.pixels > kMatrixRows) return args.blocks == 2 ? product<2, 2>(args) : product<2, 1>(args);
  return args.blocks == 2 ? product<1, 2>(args) : product<1, 1>(args);
}

// f(a pixel's source, its place in the rows) for one piece of all pixels.
template <class F>
inline void each_pixel(const Bf16CollectArgs& args, const Bf16RowPiece& piece, F&& f) {
  Bf16* row = args.rows + piece.to;
  for (std::int64_t p = 0; p < args.pixels; ++p, row += args.row_step) f(args.src[p] + piece.from, row);
}

// A piece of all pixels after the other. Short stores, so that few cross a line.
void collect(const Bf16CollectArgs& given) {
  const Bf16CollectArgs args = given;
  for (std::int64_t i = 0; i < args.count; ++i) {
    const Bf16RowPiece piece = args.pieces[i];
    if (piece.read == ~0u) {
      each_pixel(args, piece, [](const Bf16* src, Bf16* row) { _mm512_storeu_si512(row, _mm512_loadu_si512(src)); });
    } else if (piece.write == 0xff) {
      const __mmask8 read = static_cast<__mmask8>(piece.read);
      each_pixel(args, piece, [read](const Bf16* src, Bf16* row) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(row), _mm_maskz_loadu_epi16(read, src));
      });
    } else if (piece.write <= 0xffff) {
      const __mmask16 read = static_cast<__mmask16>(piece.read), write = static_cast<__mmask16>(piece.write);
      each_pixel(args, piece, [read, write](const Bf16* src, Bf16* row) {
        _mm256_mask_storeu_epi16(row, write, _mm256_maskz_loadu_epi16(read, src));
      });
    } else {
      each_pixel(args, piece, [&piece](const Bf16* src, Bf16* row) {
        _mm512_mask_storeu_epi16(row, piece.write, _mm512_maskz_loadu_epi16(piece.read, src));
      });
    }
  }
}

void from_planes(const float* from, std::ptrdiff_t plane, std::int64_t channels, std::int64_t pixels, Bf16* to) {
  // Of two channels of 16 pixels, one behind the other: both of a pixel side by side.
  alignas(64) static const std::uint16_t kInterleaved[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleaved = _mm512_load_si512(kInterleaved);
  for (std::int64_t p = 0; p < pixels; p += kLanes) {
    const std::int64_t count = pixels - p < kLanes ? pixels - p : kLanes;
    const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
    const auto channel = [&](std::int64_t c) {
      return c < channels ? _mm512_maskz_loadu_ps(mask, from + c * plane + p) : _mm512_setzero_ps();
    };
    Vec tile[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
      const __m512bh both = _mm512_cvtne2ps_pbh(channel(2 * i + 1), channel(2 * i));
      __m512i bits;
      memcpy(&bits, &both, sizeof bits);
      tile[i].v = _mm512_castsi512_ps(_mm512_permutexvar_epi16(interleaved, bits));
    }
    transpose(tile);
    for (int i = 0; i < count; ++i) _mm512_storeu_ps(to + (p + i) * polyadic::kMatrixDepth, tile[i].v);
  }
}

float peak_loop(std::int64_t rounds) {
  enter();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  // 32 rounds of 24 · 4 · 16 operations are three products of 2 · 16 · 16 · 32.
  for (std::int64_t i = 0; i < rounds * 3 / 32; i += 4) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  alignas(64) float sums[kMatrixRows * kLanes];
  _tile_stored(0, sums, kLine);
  leave();
  return sums[0];
}

}  // namespace

namespace polyadic {

const Bf16MatrixKernels kernels_bf16_amx = {enter, leave, any_product, collect, from_planes, peak_loop};

}  // namespace polyadic

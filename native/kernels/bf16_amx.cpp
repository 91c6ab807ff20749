// bfloat16 products on AMX tile registers. What they compute is stated in bf16_kernels.h; all that follows a sum is
// AVX-512, as in bf16_avx512.cpp.
#include "bf16_avx512_body.h"

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

template <int Row, int Block, int Blocks>
inline void end(const Bf16MatrixArgs& args, float* sums) {
  constexpr int kTile = 2 * Row + Block;
  if (args.flags & polyadic::kToPartial) {
    store_tile<kTile>(args.partial + (Row * Blocks + Block) * kMatrixRows * kLanes, kLine);
  } else {
    store_tile<kTile>(sums + (Row * kMatrixRows * Blocks + Block) * kLanes, Blocks * kLine);
  }
}

template <class T, int Blocks>
void finish(const Bf16MatrixArgs& args, const float* sums) {
  for (int p = 0; p < args.pixels; ++p, sums += Blocks * kLanes) {
    __m512 acc[Blocks];
    for (int m = 0; m < Blocks; ++m) acc[m] = load(sums + m * kLanes);
    pixel_finish<T>(args, p, acc);
  }
}

template <int Rows, int Blocks>
void product(const Bf16MatrixArgs& given) {
  const Bf16MatrixArgs args = given;
  begin<0, 0, Blocks>(args);
  if constexpr (Blocks == 2) begin<0, 1, Blocks>(args);
  if constexpr (Rows == 2) begin<1, 0, Blocks>(args);
  if constexpr (Rows == 2 && Blocks == 2) begin<1, 1, Blocks>(args);
  const long row = args.row_step * static_cast<long>(sizeof(Bf16));
  const Bf16* weights = args.weights;
  for (std::int64_t s = 0; s < args.steps; ++s, weights += kMatrixDepth * Blocks * kLanes) {
    const std::ptrdiff_t offset = args.offsets[s];
    _tile_loadd(6, weights, Blocks * kLine);
    _tile_loadd(4, args.rows[0] + offset, row);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Blocks == 2) {
      _tile_loadd(7, weights + 2 * kLanes, Blocks * kLine);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (Rows == 2) {
      _tile_loadd(5, args.rows[1] + offset, row);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (Blocks == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  alignas(64) float sums[kMatrixPixels * kMatrixBlocks * kLanes];  // [pixels][blocks][16]
  end<0, 0, Blocks>(args, sums);
  if constexpr (Blocks == 2) end<0, 1, Blocks>(args, sums);
  if constexpr (Rows == 2) end<1, 0, Blocks>(args, sums);
  if constexpr (Rows == 2 && Blocks == 2) end<1, 1, Blocks>(args, sums);
  if (args.flags & polyadic::kToPartial) return;
  if (args.flags & polyadic::kStoreBf16) {
    finish<Bf16, Blocks>(args, sums);
  } else {
    finish<float, Blocks>(args, sums);
  }
}

void any_product(const Bf16MatrixArgs& args) {
  if (args.pixels > kMatrixRows) return args.blocks == 2 ? product<2, 2>(args) : product<2, 1>(args);
  return args.blocks == 2 ? product<1, 2>(args) : product<1, 1>(args);
}

void collect(const Bf16CollectArgs& given) {
  const Bf16CollectArgs args = given;
  Bf16* row = args.rows;
  for (std::int64_t p = 0; p < args.pixels; ++p, row += args.row_step) {
    const Bf16* src = args.src[p];
    for (std::int64_t i = 0; i < args.count; ++i) {
      const Bf16RowPiece& piece = args.pieces[i];
      const __m512i values = _mm512_maskz_loadu_epi16(piece.read, src + piece.from);
      _mm512_mask_storeu_epi16(row + piece.to, piece.write, values);
    }
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

const Bf16MatrixKernels kernels_bf16_amx = {enter, leave, any_product, collect, peak_loop};

}  // namespace polyadic

// bfloat16 kernels of inference: sources and weights in bfloat16, sums in float32. They exist apart from the float32
// table because a CPU may have one set of instructions without the other.
//
// A product of two pairs is what VDPBF16PS does, and every table does the same, bit for bit:
//   sum ← fma(a₁, b₁, sum), then sum ← fma(a₀, b₀, sum)
// each rounded to nearest even, whatever the rounding mode of the thread; denormal operands and sums are zeros of their
// sign. Rounding float32 to bfloat16 is to nearest even as well, denormals are zeros, a NaN stays a quiet NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "float_kernels.h"

namespace polyadic {

using Bf16 = std::uint16_t;  // the upper half of a float32

// Beyond TileFlags, whose kFromBias, kFromPartial, kToPartial, kMaxDst, kRelu and kMaxPairs mean the same here.
enum Bf16Flags : int {
  kStoreBf16 = 256,    // dst holds bfloat16, not float32
  kBf16Residual = 512  // so does the residual
};

// How the sums of some pixels and channel blocks begin, and where they go.
struct Bf16Target {
  const float* bias;  // [blocks][block], read with kFromBias
  float* partial;     // [pixels][blocks][block], with kFromPartial or kToPartial
  void* const* dst;   // one pointer a pixel
  // In elements of dst.
  std::ptrdiff_t dst_offset;
  std::ptrdiff_t dst_block;  // between channel blocks
  int pixels, blocks, block;
  int flags;
};

struct Bf16TileArgs : Bf16Target {
  const Bf16* const* src;       // one pointer a pixel
  const std::int32_t* offsets;  // k offsets from a pixel's pointer to a pair of neighbours, in elements
  std::int64_t k;
  const Bf16* weights;  // [k][blocks][block][2]
};

// Convolution tile: for p < pixels, m < blocks, lane l:
//   dst[p][m·dst_block + l] = Σ_k src[p][offsets[k]..+2] · weights[k][m][l][0..2]
using Bf16Tile = void (*)(const Bf16TileArgs&);

// Products of matrices by tile registers (AMX), for tables that have them: 16 pixels × 16 channels × 32 values of k at
// a time. They sum even and odd values of k apart over each 32, so that their bits are not those of Bf16Tile.
constexpr int kMatrixRows = 16, kMatrixPixels = 2 * kMatrixRows, kMatrixDepth = 32, kMatrixBlocks = 2;

// At most kMatrixPixels pixels and kMatrixBlocks blocks; partial sums are [pixels / 16][blocks][16 pixels][16].
struct Bf16MatrixArgs : Bf16Target {
  const Bf16* rows[2];          // the first of each 16 pixels; all 16 can be read
  std::ptrdiff_t row_step;      // elements from one pixel to the next
  const std::int32_t* offsets;  // `steps` of them: from a pixel to 32 neighbours, in elements
  std::int64_t steps;
  const Bf16* weights;  // [steps][16][blocks][16][2]
  // Or null: where all sums go as they are instead of to dst, a pixel's 16 behind the other's, and dst_block from one
  // channel block to the next.
  float* sums;
};

// The same sums as Bf16Tile's. A pixel whose pointer in dst is null is not stored.
using Bf16Matrix = void (*)(const Bf16MatrixArgs&);

// A part of a row: up to 32 neighbours, masks telling which of them are read and which are written (0 where not read).
struct Bf16RowPiece {
  std::int32_t from, to;  // elements from the pixel, and from the row's beginning
  std::uint32_t read, write;
};

struct Bf16CollectArgs {
  const Bf16* const* src;  // one pointer a pixel
  std::int64_t pixels;
  const Bf16RowPiece* pieces;
  std::int64_t count;
  Bf16* rows;
  std::ptrdiff_t row_step;  // elements from one pixel's row to the next
};

// Puts together what lies apart: a row a pixel, as products read them.
using Bf16Collect = void (*)(const Bf16CollectArgs&);

// to[p][c] = c < channels ? from[c · plane + p] : 0 for p < pixels, c < kMatrixDepth, rounded.
using Bf16FromPlanes = void (*)(const float* from, std::ptrdiff_t plane, std::int64_t channels, std::int64_t pixels,
                                Bf16* to);

struct Bf16MatrixKernels {
  // What a thread does before its first product and after its last: it owns tile registers between the two only.
  void (*enter)();
  void (*leave)();
  Bf16Matrix product;
  Bf16Collect collect;
  Bf16FromPlanes from_planes;
  PeakLoop peak;  // as that of Bf16Kernels; enters and leaves itself
};

struct Bf16RowArgs {
  const void* src;
  void* dst;
  std::int64_t rows, pixels;        // pixels: of a row
  std::ptrdiff_t src_row, dst_row;  // elements from one row to the next
  std::ptrdiff_t src_step;          // elements from the source of one output pixel to that of the next
  std::ptrdiff_t dst_step;          // elements from one output pixel to the next
  const std::int32_t* offsets;      // k offsets from a pixel, in elements
  std::int64_t k;
  const float* weights;  // [k][block]
  const float* bias;     // [block], read with kFromBias
  int block;
  int flags;  // kFromBias and kRelu
};

// Depthwise rows, one channel block, in float32 over either kind of source and destination:
//   dst[y·dst_row + x·dst_step + l] = Σ_k src[y·src_row + x·src_step + offsets[k] + l] · weights[k][l]
// (fused, k in order)
using Bf16Rows = void (*)(const Bf16RowArgs&);

struct Bf16FinishArgs {
  const float* sums;            // [pixels][block]
  const void* const* residual;  // one pointer a pixel, or null
  std::ptrdiff_t residual_offset;
  void* const* dst;  // one pointer a pixel; null: there is none
  std::ptrdiff_t dst_offset;
  std::int64_t pixels;
  int block;
  int flags;  // kRelu, kStoreBf16 and kBf16Residual
};

// One channel block of finished sums: dst[p][l] = relu?(sums[p][l] + residual[p][l])
using Bf16Finish = void (*)(const Bf16FinishArgs&);

struct Bf16PoolArgs {
  const void* src;  // the first element of the first window
  void* dst;
  std::int64_t pixels;
  std::ptrdiff_t src_step;  // elements from one window to the next
  std::ptrdiff_t dst_step;  // elements from one output pixel to the next
  std::int64_t rows, columns;
  std::ptrdiff_t src_row, src_column;  // elements between the elements of a window
  float count;                         // average: what the sum is divided by
  bool maximum;
  int block;
};

// One channel block of a row of windows, over either kind of source and destination, in float32.
using Bf16Pool = void (*)(const Bf16PoolArgs&);

struct Bf16StripArgs {
  const void* src;
  void* dst;
  std::int64_t pixels;
  std::ptrdiff_t src_step, dst_step;  // elements from one pixel to the next
  int block;
};

// One channel block of some pixels, between float32 and bfloat16.
using Bf16Strip = void (*)(const Bf16StripArgs&);

struct Bf16Kernels {
  const char* name;
  int block;                              // channels of a block that it works on; 0: any
  int pixels[kMaxBlocks];                 // pixels of a full tile with m + 1 blocks
  Bf16Tile tile[kMaxBlocks][kMaxPixels];  // [blocks − 1][pixels − 1], null beyond `pixels`
  Bf16Rows rows[2][2];                    // [source is bfloat16][destination is bfloat16]
  Bf16Pool pool[2][2];                    // the same
  Bf16Finish finish;
  void (*round)(const float* x, Bf16* y, std::int64_t count);
  Bf16Strip round_strip, widen_strip;
  PeakLoop peak;  // pairs of `block` lanes, `rounds` of 24 each: 24 · 4 · block operations a round
  const Bf16MatrixKernels* matrix = nullptr;  // null: products go by `tile`
};

extern const Bf16Kernels kernels_bf16_scalar;
#ifdef POLYADIC_X64_KERNELS
extern const Bf16Kernels kernels_bf16_avx512;
#endif
#ifdef POLYADIC_AMX_KERNELS
extern const Bf16MatrixKernels kernels_bf16_amx;
#endif

}  // namespace polyadic

// float32 kernels of inference and training. All of them work on lists of pixels: a pixel is one (image, row, column)
// position, given as a pointer, so that one kernel serves every stride, dilation, pad, group and layout, and a tile may
// run across rows and images.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

constexpr int kMaxPixels = 8;  // pixels of the largest tile, of any table
constexpr int kPairRows = 4;   // rows between two depthwise convolutions in a chain
constexpr int kMaxBlocks = 4;  // channel blocks of the largest tile, of any table

// How a tile begins and ends; the default is to start from zero and to store to dst.
enum TileFlags : int {
  kFromBias = 1,     // start from bias
  kFromPartial = 2,  // start from the partial sums of an earlier call
  kFromDst = 4,      // start from what dst holds
  kToPartial = 8,    // leave partial sums instead of storing to dst
  kMaxDst = 16,      // store the larger of the sum and of what dst holds (maxout, a piece at a time)
  kRelu = 32,        // store max(sum, 0)
  kMaxPairs = 64,    // convolution: blocks 2m and 2m + 1 are two pieces of maxout, dst block m takes the larger
};

struct TileArgs {
  const float* const* src;      // one pointer a pixel
  std::ptrdiff_t src_offset;    // added to each of them
  const std::int32_t* offsets;  // k offsets from a pixel's pointer, in floats
  std::int64_t k;
  const float* weights;  // convolution: [k][blocks][block]; depthwise: [k][block]
  const float* bias;     // [blocks][block], read with kFromBias
  float* partial;        // [pixels][blocks][block], with kFromPartial or kToPartial
  float* const* dst;     // one pointer a pixel
  std::ptrdiff_t dst_offset;
  std::ptrdiff_t dst_block;  // floats between channel blocks of dst
  int flags;
};

// Convolution tile: for p < pixels, m < blocks, lane l:
//   dst[p][m·dst_block + l] = Σ_k src[p][offsets[k]] · weights[k][m][l]      (a scalar is read and broadcast)
using ConvTile = void (*)(const TileArgs&);

struct GradArgs {
  const float* const* src;  // one pointer a pixel
  std::ptrdiff_t src_offset;
  const float* const* diff;  // gradient of the output, one pointer a pixel
  std::ptrdiff_t diff_offset;
  std::ptrdiff_t diff_block;  // floats between channel blocks of diff
  std::int64_t pixels;
  const std::int32_t* offsets;  // one a tap of the tile
  float* grad;                  // [taps][blocks][block], added to
};

// Weight-gradient tile: for j < taps, m < blocks, lane l:
//   grad[j][m][l] += Σ_p src[p][offsets[j]] · diff[p][m·diff_block + l]
using ConvGradTile = void (*)(const GradArgs&);

// Depthwise tile, one channel block: for p < pixels, lane l:
//   dst[p][l] = Σ_k src[p][offsets[k] + l] · weights[k][l]
using DepthwiseTile = void (*)(const TileArgs&);

// Rows of neighbouring pixels, for a depthwise convolution without a stride along the row.
struct RowArgs {
  const float* src;
  float* dst;
  std::int64_t rows, pixels;        // pixels: of a row
  std::ptrdiff_t src_row, dst_row;  // floats from one row to the next
  const std::int32_t* offsets;      // k offsets from a pixel, in floats
  std::int64_t k;
  const float* weights;  // [k][block]
  const float* bias;     // [block], read with kFromBias
  int flags;             // of TileFlags: kFromBias and kRelu
};

// Depthwise rows, one channel block: for y < rows, x < pixels, lane l:
//   dst[y·dst_row + x·block + l] = Σ_k src[y·src_row + x·block + offsets[k] + l] · weights[k][l]
using DepthwiseRows = void (*)(const RowArgs&);

// Two of them in a chain, kPairRows at a time: the first leaves row y at its dst + (y mod kPairRows)·dst_row, from
// where the second, whose taps all lie in one row and whose src_row is that dst_row, takes it; second.rows rows. What
// is between them stays in these few rows of memory.
using DepthwisePair = void (*)(const RowArgs& first, const RowArgs& second);

// Independent fused multiply-adds in registers, `rounds` of 12 each; returns their sum so that none is optimised away.
using PeakLoop = float (*)(std::int64_t rounds);

struct FloatKernels {
  int block;                                       // channels of a block: floats of one vector
  int pixels[kMaxBlocks];                          // pixels of a full convolution tile with m + 1 blocks
  int blocks;                                      // most blocks of a convolution panel (two where maxout pairs them)
  int taps[kMaxBlocks];                            // taps of a full weight-gradient tile with m + 1 blocks
  int depthwise_pixels;                            // pixels of a full depthwise tile
  ConvTile conv[kMaxBlocks][kMaxPixels];           // [blocks − 1][pixels − 1], null beyond `pixels`
  ConvGradTile conv_grad[kMaxBlocks][kMaxPixels];  // [blocks − 1][taps − 1]
  DepthwiseTile depthwise[kMaxPixels];             // [pixels − 1]
  DepthwiseRows depthwise_rows;
  DepthwisePair depthwise_pair;
  PeakLoop peak;  // 12 · 2 · block operations a round
};

}  // namespace polyadic

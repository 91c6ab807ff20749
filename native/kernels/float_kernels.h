// float32 kernels of inference and training. All of them work on lists of pixels: a pixel is one (image, row, column)
// position, given as a pointer, so that one kernel serves every stride, dilation, pad, group and layout, and a tile may
// run across rows and images.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

constexpr int kMaxPixels = 8;   // pixels of the largest tile, of any table
constexpr int kMaxBlocks = 4;   // channel blocks of the largest tile, of any table

// How a tile begins and ends.
enum TileFlags : int {
  kTileLoad = 1,  // start from what dst holds instead of from zero
};

// Convolution tile: for p < pixels, m < blocks, lane l:
//   dst[p][m·dst_block + l] (+)= Σ_k src[p][offsets[k]] · weights[(k·blocks + m)·block + l]
// src[p]: scalars are read at offsets[k] and broadcast. dst[p]: one channel block at stride dst_block floats.
using ConvTile = void (*)(const float* const* src, const std::int32_t* offsets, std::int64_t k, const float* weights,
                          float* const* dst, std::ptrdiff_t dst_block, int flags);

// Weight-gradient tile: for j < taps, m < blocks, lane l:
//   grad[(j·blocks + m)·block + l] += Σ_p src[p][offsets[j]] · diff[p][m·diff_block + l]
using ConvGradTile = void (*)(const float* const* src, const float* const* diff, std::int64_t pixels,
                              const std::int32_t* offsets, std::ptrdiff_t diff_block, float* grad);

// Depthwise tile, one channel block: for p < pixels, lane l:
//   dst[p][l] (+)= Σ_k src[p][offsets[k] + l] · weights[k·block + l]
using DepthwiseTile = void (*)(const float* const* src, const std::int32_t* offsets, std::int64_t k, const float* weights,
                               float* const* dst, int flags);

// Depthwise weight gradient: for j < taps, lane l: grad[j·block + l] += Σ_p src[p][offsets[j] + l] · diff[p][l]
using DepthwiseGradTile = void (*)(const float* const* src, const float* const* diff, std::int64_t pixels,
                                   const std::int32_t* offsets, float* grad);

struct FloatKernels {
  int block;                  // channels of a block: floats of one vector
  int pixels[kMaxBlocks];     // pixels of a full convolution tile with m + 1 blocks
  int blocks;                 // preferred number of blocks of a convolution panel
  int taps[kMaxBlocks];       // taps of a full weight-gradient tile with m + 1 blocks
  int depthwise_pixels;       // pixels of a full depthwise tile
  int depthwise_taps;         // taps of a full depthwise weight-gradient tile
  ConvTile conv[kMaxBlocks][kMaxPixels];          // [blocks − 1][pixels − 1], null beyond `pixels`
  ConvGradTile conv_grad[kMaxBlocks][kMaxPixels]; // [blocks − 1][taps − 1]
  DepthwiseTile depthwise[kMaxPixels];            // [pixels − 1]
  DepthwiseGradTile depthwise_grad[kMaxPixels];   // [taps − 1]
};

}  // namespace polyadic

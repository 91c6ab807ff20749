// Transforms of Winograd's minimal filtering F(m×m, 3×3): m×m outputs of a 3×3 convolution from (m+2)×(m+2) inputs by
// (m+2)² products a channel pair, where the direct way takes 9·m². Between the two transforms stand as many matrix
// products, which the convolution kernels do. One channel block (Vec) at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

struct WinogradInputArgs {
  const float* src;  // pixel (0, 0) of the first tile's input
  std::ptrdiff_t src_row;
  float* dst;  // first tile, position 0
  std::ptrdiff_t dst_position;
  std::int64_t tiles;  // neighbours in a row: m pixels apart in src, a block apart in dst
};

// dst[ξ·dst_position + t·block] = (Bᵀ·d_t·B)_ξ
using WinogradInput = void (*)(const WinogradInputArgs&);

struct WinogradOutputArgs {
  const float* src;  // first tile, position 0
  std::ptrdiff_t src_position, src_tile;
  const float* bias;  // [block] or null
  float* dst;         // pixel (0, 0) of the first tile's output
  std::ptrdiff_t dst_row;
  const float* residual;  // added before relu; pixel (0, 0) as dst, or null
  std::ptrdiff_t residual_row;
  std::int64_t tiles;          // neighbours in a row
  std::int64_t rows, columns;  // of output that exist: at most m, and m·tiles
  bool relu;
};

// dst tile t = relu(Aᵀ·M_t·A + bias + residual)
using WinogradOutput = void (*)(const WinogradOutputArgs&);

struct WinogradTransforms {
  WinogradInput input;
  WinogradOutput output;
};

struct WinogradKernels {
  WinogradTransforms two, four;  // m = 2 and m = 4
};

}  // namespace polyadic

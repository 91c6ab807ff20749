// Depthwise convolution by rows, one channel block at a time, between float32 and bfloat16 either way; sums in float32.
#pragma once

#include <cstdint>
#include <vector>

#include "../../core/bf16.h"
#include "../../core/buffer.h"
#include "gather.h"

namespace polyadic {

class Bf16Depthwise {
 public:
  Bf16Depthwise() = default;
  // Of src only row() and block are used. Weights lie by `places`, up to `blocks` channel blocks of them.
  Bf16Depthwise(const ConvolutionShape& shape, const Layout& src, const ChannelPlaces& places, std::int64_t blocks);

  // Weights [C][1][kH][kW] and a bias [C] or null.
  void pack(const float* weights, const float* bias);

  // What a call reads and writes: the window's first tap for the first pixel, and elements from one row to the next.
  struct Rows {
    const void* src;
    void* dst;
    bool src_bf16, dst_bf16;
    std::ptrdiff_t src_row, dst_row;
    std::int64_t rows, pixels;
    std::ptrdiff_t dst_step = 0;  // elements from one pixel to the next; 0: a channel block
  };
  void run(std::int64_t channel_block, const Rows& rows, int flags) const;

  std::size_t weight_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  const Bf16Kernels* table_ = nullptr;
  ConvolutionShape shape_;
  ChannelPlaces places_;
  int block_ = 1;
  std::int64_t blocks_ = 0;
  std::vector<std::int32_t> offsets_;  // of the taps
  Buffer packed_, bias_;               // [blocks][taps][block], [blocks][block]
  bool has_bias_ = false;
};

}  // namespace polyadic

// Depthwise convolution by rows, one strip of channels at a time, between float32 and bfloat16 either way; sums in
// float32.
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
  // Of src only row() and block are used. Weights lie by `places`, up to `strips` strips of them.
  Bf16Depthwise(const ConvolutionShape& shape, const Layout& src, const ChannelPlaces& places, std::int64_t strips);

  // Weights [C][1][kH][kW] and a bias [C] or null.
  void pack(const float* weights, const float* bias);

  // What a call reads and writes: the window's first tap for the first pixel, and elements from one row to the next.
  struct Rows {
    const void* src;
    void* dst;
    bool src_bf16, dst_bf16;
    std::ptrdiff_t src_row, dst_row;
    std::int64_t rows, pixels;
    std::ptrdiff_t dst_step;  // elements from one pixel to the next
    float* room;              // or null: for kPairRows rows in float32 before they are rounded
  };
  void run(std::int64_t strip, const Rows& rows, int flags) const;

  // Floats of room for rows of so many pixels.
  static std::int64_t room_floats(std::int64_t pixels) { return kPairRows * pixels * bf16_lanes(); }
  std::size_t weight_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  template <class Args>
  Args arguments(std::int64_t strip, const Rows& rows, int flags) const;
  void run_float(std::int64_t strip, const Rows& rows, int flags) const;

  const Bf16Kernels* table_ = nullptr;
  ConvolutionShape shape_;
  ChannelPlaces places_;
  int lanes_ = 1, src_block_ = 1;
  std::int64_t strips_ = 0;
  std::vector<std::int32_t> offsets_;  // of the taps
  Buffer packed_, bias_;               // [strips][taps][lanes], [strips][lanes]
  bool has_bias_ = false;
};

}  // namespace polyadic

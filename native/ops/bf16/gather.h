// A convolution over bfloat16 as gathers over pixel lists, forward only: what gather.h does in float32, with pairs of
// neighbouring elements in the place of single ones. In a blocked source a pair is two channels of a pixel, in a plain
// one (block 1) two pixels of a row: then the window must be at least two columns wide and not dilated along them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "../../core/bf16.h"
#include "../../core/buffer.h"
#include "../../core/dispatch.h"
#include "../context.h"
#include "../gather.h"
#include "../geometry.h"

namespace polyadic {

// Where a convolution's channels are among those of a layout: each `group` of them begins anew every `stride` channels,
// so that no block belongs to two groups.
struct ChannelPlaces {
  std::int64_t group = 1, stride = 1;

  static ChannelPlaces dense(std::int64_t channels) { return {channels, channels}; }
  std::int64_t place(std::int64_t channel) const { return channel / group * stride + channel % group; }
  // The channel at a place, or −1.
  std::int64_t channel(std::int64_t place) const {
    return place % stride < group ? place / stride * group + place % stride : -1;
  }
};

// One end of a gather.
struct PlacedLayout {
  Layout layout;
  ChannelPlaces places;
};

class Bf16Gather {
 public:
  Bf16Gather() = default;
  // The source's halo must be large enough. `flags` hold for every store: kRelu, kStoreBf16.
  Bf16Gather(const ConvolutionShape& shape, const PlacedLayout& src, const PlacedLayout& dst, Maxout maxout, int flags);

  // Whether a plain source of so many channels can be read in pairs, and should be: depthwise stages go by blocks.
  static bool reads_plain(const Window& window, std::int64_t groups, std::int64_t channels) {
    return window.kernel[1] >= 2 && window.dilations[1] == 1 && (groups == 1 || groups != channels);
  }

  // Rounds and packs weights [Cout][Cin/groups][kH][kW], and a bias [Cout] or null.
  void pack(const Context& context, const float* weights, const float* bias);

  // A part of the destination's channel blocks, for some pixels (at most kBand); dst points to the part's first block.
  // Needs scratch_floats() of scratch.
  void run(std::size_t part, const Bf16* const* src, void* const* dst, int pixels, float* scratch) const;
  std::size_t parts() const { return parts_.size(); }
  std::int64_t first_block(std::size_t part) const { return parts_[part].first_block; }
  int blocks(std::size_t part) const { return parts_[part].blocks; }

  static std::size_t scratch_floats() { return static_cast<std::size_t>(kBand) * kMaxBlocks * 16; }
  std::size_t weight_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  // Two neighbours of the source, `offset` from a pixel: their channels (−1: its weight is 0) and taps.
  struct Pair {
    std::int64_t offset;
    std::int64_t channel[2], tap[2];
  };
  // Blocks computed together from one list of pairs; of the pieces of maxout one or two.
  struct Panel {
    int blocks, flags;
    std::int64_t weights, bias;          // where they begin: [k][blocks][block] pairs, [blocks][block]
    std::vector<std::int64_t> channels;  // of the convolution, by lane; −1: padding
  };
  // All pieces of some of the destination's blocks.
  struct Part {
    std::int64_t first_block;
    int blocks;
    std::size_t first_panel, last_panel;
    std::vector<std::int32_t> offsets;  // of the pairs
  };

  std::pair<std::int64_t, std::int64_t> groups_of(std::int64_t block) const;
  void add_part(std::int64_t first_block, int blocks);
  std::vector<Pair> pairs(const Part& part) const;
  void pack_panel(const Panel& panel, const std::vector<Pair>& pairs, const float* weights);

  const Bf16Kernels* table_ = nullptr;
  ConvolutionShape shape_;
  PlacedLayout src_, dst_;
  Maxout maxout_;
  int flags_ = 0;
  std::vector<Tap> taps_;
  std::vector<Panel> panels_;
  std::vector<Part> parts_;
  std::int64_t packed_size_ = 0, bias_size_ = 0;
  Buffer packed_, bias_;  // packed_: each pair in the room of a float
  bool has_bias_ = false;
};

}  // namespace polyadic

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
#include "matrix_rows.h"
#include "pixel_order.h"

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

// The source of some pixels, made by Bf16Gather::source().
struct Bf16Source {
  const Bf16* const* pixels = nullptr;  // one pointer a pixel
  std::int64_t count = 0;
  // For products by tile registers: rows put together, or the pixels themselves, each 16 of them `step` apart.
  const Bf16* rows = nullptr;
  std::ptrdiff_t step = 0;
  bool in_place = false;
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

  // Pixels for run(), for as long as `src` and `room` stay: row_floats() a pixel, their number rounded up to 16. Where
  // they are read in place, 15 pixels behind the last may be read as well.
  Bf16Source source(const Bf16* const* src, std::int64_t pixels, float* room) const;
  // A part of the destination's strips, for at most kBand pixels of a source from `first` on, a multiple of 16; dst
  // points to the part's first strip, null: not stored. Needs scratch_floats() of scratch.
  void run(std::size_t part, const Bf16Source& source, std::int64_t first, void* const* dst, int pixels,
           float* scratch) const;
  // Whether tiles read its sources as they lie, where pixels are evenly spaced.
  bool reads_in_place() const;
  // The order in which tiles take the pixels of a convolution's whole output with the least work.
  PixelOrder order(const PixelGrid& grid, const Layout& out) const;
  // For each thread that calls run().
  static ThreadScope scope();
  std::size_t row_floats() const { return static_cast<std::size_t>(row_width_) / 2; }
  // Pixels of a source whose rows leave room for weights in the second-level cache, at most kBand.
  int band() const;
  // Parts that pixels should be taken through before the next pixels are, so that their weights stay in the
  // second-level cache. Many more than one also mean that rows are put together less often.
  std::size_t parts_together() const;
  std::size_t parts() const { return parts_.size(); }
  std::int64_t first_strip(std::size_t part) const { return parts_[part].first_strip; }
  int strips(std::size_t part) const { return parts_[part].strips; }

  static std::size_t scratch_floats() { return static_cast<std::size_t>(kBand) * kMaxBlocks * 16; }
  std::size_t weight_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  // Two neighbours of the source, `offset` from a pixel: their channels (−1: its weight is 0) and taps.
  struct Pair {
    std::int64_t offset;
    std::int64_t channel[2], tap[2];
    bool single = false;  // the second is put in as a zero, whatever there is
  };
  // Strips computed together from one list of pairs; of the pieces of maxout one or two.
  struct Panel {
    int blocks, flags;
    std::int64_t weights, bias;          // where they begin: [k][blocks][lanes] pairs, [blocks][lanes]
    std::vector<std::int64_t> channels;  // of the convolution, by lane; −1: padding
  };
  // All pieces of some of the destination's strips.
  struct Part {
    std::int64_t first_strip;
    int strips;
    std::size_t first_panel, last_panel;
    std::vector<std::int32_t> offsets;  // of the pairs
    std::vector<bool> single;
    std::size_t rows;  // which of rows_ it reads
  };

  std::pair<std::int64_t, std::int64_t> groups_of(std::int64_t strip) const;
  void add_part(std::int64_t first_strip, int strips);
  std::vector<Pair> pairs(const Part& part) const;
  std::vector<Pair> plain_pairs(std::pair<std::int64_t, std::int64_t> groups) const;
  std::vector<Pair> blocked_pairs(std::pair<std::int64_t, std::int64_t> groups) const;
  double products() const;
  double lines() const;
  bool filling_pays() const;
  std::int64_t wanted_channel(std::int64_t place, std::pair<std::int64_t, std::int64_t> groups) const;
  void pack_panel(const Panel& panel, const std::vector<Pair>& pairs, const float* weights);
  void add_rows(Part& part);
  // Pairs with the zeros that fill up the last step.
  std::int64_t packed_pairs(const Part& part) const;
  void begin_panel(const Panel& panel, std::int64_t k0, bool last, Bf16Target& target) const;
  void run_tiles(const Part& part, const Panel& panel, const Bf16Source& source, std::int64_t first, void* const* dst,
                 int pixels, float* scratch) const;
  void run_matrix(const Part& part, const Panel& panel, const Bf16Source& source, std::int64_t first, void* const* dst,
                  int pixels, float* scratch) const;
  float* sums_as_they_are(const Bf16MatrixArgs& args) const;

  const Bf16Kernels* table_ = nullptr;
  ConvolutionShape shape_;
  PlacedLayout src_, dst_;
  Maxout maxout_;
  int flags_ = 0, lanes_ = 1;
  bool fills_blocks_ = false;
  std::vector<Tap> taps_;
  std::vector<Panel> panels_;
  std::vector<Part> parts_;
  std::vector<Bf16MatrixRows> rows_;     // of parts that read different channels
  std::vector<std::int64_t> row_begin_;  // of each of them, elements a pixel
  std::int64_t row_width_ = 0;
  std::int64_t packed_size_ = 0, bias_size_ = 0;
  Buffer packed_, bias_;  // packed_: each pair in the room of a float
  bool has_bias_ = false;
};

}  // namespace polyadic

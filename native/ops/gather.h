// A convolution as gathers over pixel lists: forward or backward to the data, any groups, blocked or plain source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/buffer.h"
#include "../core/dispatch.h"
#include "channel_order.h"
#include "context.h"
#include "geometry.h"

namespace polyadic {

class WeightStore;

class Gather {
 public:
  enum class Direction { forward, backward_data };
  enum : int { kAccumulate = 1, kApplyRelu = 2 };

  Gather() = default;
  // src and dst: layouts whose halo is large enough. Maxout only forward. `order`: how the convolution's output
  // channels lie in dst (backward: in src), whose layout then has order.places() channels; by pieces only without
  // groups and without maxout.
  Gather(const ConvolutionShape& shape, Direction direction, const Layout& src, const Layout& dst, Maxout maxout = {},
         ChannelOrder order = {});

  // Packs weights [Cout][Cin/groups][kH][kW] and, forward, a bias [Cout] or null.
  void pack(const Context& context, const float* weights, const float* bias);

  // Reads its packed weights from the store from now on: no pack() afterwards. Returns the bytes that saves.
  std::size_t share_weights(WeightStore& store);

  // Forgets where weights came from: no pack() and no weight_gradient() afterwards.
  void release_indices() { std::vector<std::int32_t>().swap(source_); }

  // All pixels; src and dst point to the start of the values.
  void run(const Context& context, const float* src, float* dst, int options) const;

  // Pixels [begin, end) of phase 0's grid, all channels, on the calling thread; needs scratch_floats() of scratch.
  void run_range(const float* src, float* dst, std::int64_t begin, std::int64_t end, int options, float* scratch) const;

  // The same in two parts: the pixels listed once, in `from` and `to`, for each panel to run over.
  void list(const float* src, float* dst, std::int64_t begin, std::int64_t end, const float** from, float** to) const;
  void run_listed(std::size_t panel, const float* const* from, float* const* to, std::int64_t pixels, int options,
                  float* scratch) const;
  std::size_t panels() const { return panels_.size(); }
  // Lets every panel write to the first channel blocks of its destination, which has no others: whoever runs the panels
  // takes each one's output before the next comes.
  void share_front() { front_ = true; }
  // From now on run_range() writes single planes without a halo, of this layout: each tile's blocks are taken apart
  // while they are in the first-level cache. The layout that the gather was made with is then only that of a tile. For
  // whole rows without maxout.
  void write_planes(const Layout& planes) {
    planes_ = planes;
    to_planes_ = true;
  }
  // [first, last) of the destination's channel blocks that a panel computes.
  std::pair<std::int64_t, std::int64_t> panel_range(std::size_t panel) const;

  // The weight gradient in the order of packed weights, packed_size() floats: overwritten in the first slice of a
  // batch, added to in the others; forward gathers only.
  void weight_gradient(const Context& context, const float* src, const float* diff, const Layout& diff_layout,
                       float* grad) const;

  // Training keeps weights, their gradients and the optimiser's state in packed order: the weight index of each packed
  // element (−1: no weight, its value and gradient are always 0) says how to get there and back. Made anew each time.
  std::vector<std::int32_t> packed_order() const;
  std::size_t packed_size() const { return packed_size_; }
  // From now on pack() takes weights in the packed order of the same convolution's forward gather; backward gathers
  // only.
  void follow(const Gather& forward);
  void pack_from(const Context& context, const Gather& forward, const float* weights);
  // Reads weights that the caller keeps in packed order, and an unpacked bias or null, instead of packing any.
  void use_packed(const float* weights, const float* bias);

  // Partial sums of a band and, behind them, its output before it is taken apart.
  static std::size_t scratch_floats() {
    return static_cast<std::size_t>(kMaxBlocks) * (kBand * 16 + static_cast<std::size_t>(kTilePlane));
  }
  std::size_t weight_bytes() const {
    return ((shared_ ? shared_->size() : packed_.size()) + bias_.size()) * sizeof(float);
  }
  // Tile of the first panel, which is the largest, for `describe`.
  std::string tile_name() const;

 private:
  // Blocks of output channels (with pairs of maxout pieces: of the convolution's) computed together from one list of
  // offsets.
  struct Panel {
    int phase, blocks, flags;
    std::int64_t first_block;
    std::int64_t weights;  // where its weights begin in packed_, [k][blocks][block]
    std::int64_t bias;     // where its bias begins in bias_
    std::vector<std::int32_t> offsets;
  };
  // Pixels taken together, at most kBand.
  struct Band {
    const float* const* src;
    float* const* dst;
    int count;
  };

  // Floats between the channel blocks of a band that will be taken apart: not a multiple of a page.
  static constexpr std::int64_t kTilePlane = kBand * 16 + 16;
  void run_to_planes(const float* const* from, int count, float* dst, std::int64_t begin, int options,
                     float* scratch) const;
  void add_panels(int phase);
  void add_panel(int phase, std::int64_t first_block, int count, std::int64_t piece, std::int64_t together);
  // [first, last) of a panel's k to sum over.
  using Range = std::pair<std::int64_t, std::int64_t>;
  void run_panel(const Panel& panel, const Band& band, const Range* ranges, std::size_t count, int options,
                 float* scratch) const;
  void run_whole(const Panel& panel, const Band& band, int options, float* scratch) const;
  bool small_weights(const Context& context) const;
  void list_runs();
  void list_positions();
  // Which of the ranges of jobs an index is in.
  std::size_t job_of(std::int64_t index) const;
  void run_bands(const Context& context, const float* src, float* dst, int options) const;
  void run_positions(const Context& context, const float* src, float* dst, int options) const;
  std::int64_t destination_channel(std::int64_t channel, std::int64_t piece) const;
  std::int64_t source_channel(std::int64_t channel) const;
  std::int64_t group_of(std::int64_t destination) const;
  void pack_bias(const float* bias);
  void pack_block(const Panel& panel, const Gather& forward, const float* weights, std::int64_t block);
  std::int32_t weight_index(std::int64_t destination, std::int64_t source, std::int64_t tap) const;

  const KernelTable* table_ = nullptr;
  ConvolutionShape shape_;
  Direction direction_ = Direction::forward;
  Layout src_, dst_;
  Maxout maxout_;
  ChannelOrder order_;
  std::vector<GatherPhase> phases_;
  bool by_position_ = false;
  std::vector<Panel> panels_;  // pieces of the same blocks one after another
  // What is listed once, so that a run allocates nothing.
  std::vector<std::int64_t> jobs_;                         // where each run's (by position: each panel's) jobs begin
  std::vector<std::pair<std::size_t, std::size_t>> runs_;  // [first, last) of panels
  std::vector<Range> inside_;                              // by position: ranges of k, panel by panel
  std::vector<std::size_t> inside_begin_, inside_of_panel_;
  std::vector<std::int32_t> source_;  // index of the weight of each packed element, −1 for padding
  std::vector<std::int32_t> bias_source_;
  Buffer packed_, bias_;
  std::shared_ptr<const Buffer> shared_;  // in the place of packed_
  const float* weights_ = nullptr;        // packed_, shared_ or what training keeps in packed order
  std::size_t packed_size_ = 0;
  bool by_transposing_ = false;      // pack_from() needs no indices
  std::vector<std::int32_t> holes_;  // packed elements that are no weights
  bool has_bias_ = false;
  bool front_ = false;
  Layout planes_;
  bool to_planes_ = false;
};

}  // namespace polyadic

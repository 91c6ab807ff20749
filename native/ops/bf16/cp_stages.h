// The stages of a CP block as bfloat16 kernels take them, and which rows each needs of the one before it.
#pragma once

#include <cstdint>
#include <vector>

#include "../cp_stages.h"
#include "gather.h"

namespace polyadic {

class Bf16CpStages {
 public:
  // Throws Error where the step's stages do not fit each other, or are none that these kernels know.
  Bf16CpStages(const StepSpec& spec, StepResources resources);

  const std::vector<CpStage>& all() const { return stages_; }
  // The stage before the depthwise ones; without it they read the input.
  bool has_head() const { return has_head_; }
  const ConvolutionShape& head() const { return stages_.front().shape; }
  const ConvolutionShape& expand() const { return stages_.back().shape; }
  std::size_t depthwise() const { return depthwise_; }
  const ConvolutionShape& depthwise(std::size_t i) const { return stages_[i + (has_head_ ? 1 : 0)].shape; }

  // Where the rank's channels are, and how many there are with their padding: as the depthwise stages take them, in
  // strips, and in blocks that the expand stage reads. A strip's channels are side by side in both.
  const ChannelPlaces& rank() const { return rank_; }
  std::int64_t width() const { return width_; }
  const ChannelPlaces& ranked() const { return ranked_; }
  std::int64_t ranked_width() const { return ranked_width_; }

  // Rows of what is reduced, and of what lies between two depthwise stages, that output rows need.
  Rows middle_rows(Rows out) const {
    return depthwise_ < 2 ? out : input_rows(depthwise(1), out).within(depthwise(1).in_h);
  }
  Rows reduced_rows(Rows out) const { return depthwise_ == 0 ? out : input_rows(depthwise(0), middle_rows(out)); }
  // The same as if nothing lay outside of the image.
  Rows all_middle_rows(Rows out) const { return depthwise_ < 2 ? out : input_rows(depthwise(1), out); }
  Rows all_reduced_rows(Rows out) const {
    return depthwise_ == 0 ? out : input_rows(depthwise(0), all_middle_rows(out));
  }

  // A second depthwise stage along rows takes each row as soon as the first has made it.
  bool row_by_row() const {
    const Window& w = depthwise(1).window;
    return w.kernel[0] == 1 && w.strides[0] == 1 && w.pads[0] == 0 && w.pads[2] == 0;
  }

 private:
  void check(const Value& input);
  void place_rank(const Value& input);

  std::vector<CpStage> stages_;
  bool has_head_ = true;
  std::size_t depthwise_ = 0;
  ChannelPlaces rank_, ranked_;
  std::int64_t width_ = 0, ranked_width_ = 0;
};

}  // namespace polyadic

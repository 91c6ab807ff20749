// The convolutions of a CP block for bfloat16 kernels: what they are, and which rows each needs of the one before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../step.h"
#include "gather.h"

namespace polyadic {

struct Rows {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
  Rows within(std::int64_t extent) const {
    return {std::clamp<std::int64_t>(0, begin, end), std::clamp(extent, begin, end)};
  }
};

// Input rows that output rows of a stage need.
Rows input_rows(const ConvolutionShape& shape, Rows out);

// Zero columns that a stage needs around rows of its input.
Halo column_halo(const ConvolutionShape& shape);

class Bf16CpStages {
 public:
  struct Stage {
    ConvolutionShape shape;
    Parameter* weight;
    Parameter* bias;
    bool depthwise = false;
  };

  // Throws Error where the step's stages do not fit each other, or are none that these kernels know.
  Bf16CpStages(const StepSpec& spec, StepResources resources);

  const std::vector<Stage>& all() const { return stages_; }
  // The stage before the depthwise ones; without it they read the input.
  bool has_head() const { return has_head_; }
  const ConvolutionShape& head() const { return stages_.front().shape; }
  const ConvolutionShape& expand() const { return stages_.back().shape; }
  std::size_t depthwise() const { return depthwise_; }
  const ConvolutionShape& depthwise(std::size_t i) const { return stages_[i + (has_head_ ? 1 : 0)].shape; }

  // Where the rank's channels are, and how many there are with their padding.
  const ChannelPlaces& rank() const { return rank_; }
  std::int64_t width() const { return width_; }

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
    return w.kernel[0] == 1 && w.strides[0] == 1 && w.pads[0] == 0;
  }

 private:
  void make(const StepSpec& spec, StepResources resources, const Value& input, const Layout& out);
  void place_rank(const Value& input, int block);

  std::vector<Stage> stages_;
  bool has_head_ = true;
  std::size_t depthwise_ = 0;
  ChannelPlaces rank_;
  std::int64_t width_ = 0;
};

}  // namespace polyadic

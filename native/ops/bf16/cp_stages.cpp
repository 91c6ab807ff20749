#include "cp_stages.h"

#include <algorithm>

#include "../../core/status.h"

namespace polyadic {

Bf16CpStages::Bf16CpStages(const StepSpec& spec, StepResources resources) : stages_(cp_stages(spec, resources)) {
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) {
    // A rank of 1 is depthwise as well, but not an input of one channel, which is never blocked.
    const ConvolutionShape& shape = stages_[i].shape;
    stages_[i].depthwise =
        shape.groups == shape.in_channels && shape.groups == shape.out_channels && (shape.groups > 1 || i > 0);
  }
  has_head_ = !stages_[0].depthwise;
  depthwise_ = stages_.size() - 1 - (has_head_ ? 1 : 0);
  const Value& input = resources.values[static_cast<std::size_t>(spec.inputs[0])];
  check(input);
  place_rank(input);
}

void Bf16CpStages::check(const Value& input) {
  if (depthwise_ > 2) throw Error(ErrorCode::unsupported, "cp_block: more than two depthwise stages in bf16");
  for (std::size_t i = 1; i + 1 < stages_.size(); ++i) {
    if (!stages_[i].depthwise) throw Error(ErrorCode::unsupported, "cp_block: a stage between is not depthwise");
  }
  const auto pointwise = [](const Window& w) {
    return w.kernel[0] == 1 && w.kernel[1] == 1 && w.strides[0] == 1 && w.strides[1] == 1 && w.pads[0] == 0 &&
           w.pads[1] == 0 && w.pads[2] == 0 && w.pads[3] == 0;
  };
  if (!pointwise(stages_.back().shape.window))
    throw Error(ErrorCode::shape, "cp_block: the stages do not lead to the output's shape");
  if (input.bf16 == (has_head_ && !pointwise(stages_[0].shape.window)))
    throw Error(ErrorCode::argument, "cp_block: the input is of the wrong kind for bf16");
  if (!has_head_ && input.layout.block == 1)
    throw Error(ErrorCode::argument, "cp_block: a depthwise stage needs a blocked input");
}

// Each group of the rank on strips and blocks of its own, unless most of them would be padding.
void Bf16CpStages::place_rank(const Value& input) {
  const ConvolutionShape& expand = stages_.back().shape;
  const std::int64_t rank = expand.in_channels;
  const std::int64_t lanes = bf16_lanes(), block = bf16_block();
  const std::int64_t groups = std::max(expand.groups, has_head_ ? stages_[0].shape.groups : 1);
  rank_ = ranked_ = ChannelPlaces::dense(rank);
  width_ = round_up(rank, lanes);
  ranked_width_ = round_up(rank, block);
  // Without a reduce stage the input's layout is what there is.
  if (!has_head_ || !input.bf16 || rank % groups != 0) return;
  const std::int64_t group = rank / groups, padded = round_up(group, lanes) * groups;
  if (padded * 3 > round_up(rank, lanes) * 4) return;
  rank_ = {group, padded / groups};
  width_ = padded;
  ranked_ = {group, round_up(group, block)};
  ranked_width_ = round_up(group, block) * groups;
}

}  // namespace polyadic

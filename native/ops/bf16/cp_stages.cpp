#include "cp_stages.h"

#include <utility>

#include "../../core/status.h"

namespace polyadic {

Rows input_rows(const ConvolutionShape& shape, Rows out) {
  const Window& w = shape.window;
  const std::int64_t first = out.begin * w.strides[0] - w.pads[0];
  return {first, first + (out.count() - 1) * w.strides[0] + (w.kernel[0] - 1) * w.dilations[0] + 1};
}

Halo column_halo(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  const std::int64_t reach = (shape.out_w - 1) * w.strides[1] - w.pads[1] + (w.kernel[1] - 1) * w.dilations[1];
  Halo halo;
  halo.left = w.pads[1];
  halo.right = std::max<std::int64_t>(0, reach - (shape.in_w - 1));
  return halo;
}

Bf16CpStages::Bf16CpStages(const StepSpec& spec, StepResources resources) {
  const Value& input = resources.values[static_cast<std::size_t>(spec.inputs[0])];
  const Layout& out = resources.values[static_cast<std::size_t>(spec.output)].layout;
  make(spec, resources, input, out);
  place_rank(input, out.block);
}

void Bf16CpStages::make(const StepSpec& spec, StepResources resources, const Value& input, const Layout& out) {
  Layout in = input.layout;
  for (const ConvolutionSpec& conv : spec.stages) {
    Stage stage;
    stage.weight = &resources.parameters[static_cast<std::size_t>(conv.weight)];
    stage.bias = conv.bias < 0 ? nullptr : &resources.parameters[static_cast<std::size_t>(conv.bias)];
    const Window& w = conv.window;
    const std::int64_t out_h = output_extent(w, 0, in.h), out_w = output_extent(w, 1, in.w);
    if (conv.groups < 1 || in.c % conv.groups != 0)
      throw Error(ErrorCode::shape, "cp_block: groups do not divide the channels");
    const std::int64_t per_channel = in.c / conv.groups * w.kernel[0] * w.kernel[1];
    const std::int64_t channels = static_cast<std::int64_t>(stage.weight->data.size()) / per_channel;
    stage.shape = convolution_shape(conv, in, channels, out_h, out_w);
    if (stage.shape.weight_count() != static_cast<std::int64_t>(stage.weight->data.size()) ||
        (stage.bias && static_cast<std::int64_t>(stage.bias->data.size()) != channels)) {
      throw Error(ErrorCode::shape, "cp_block: a stage's weight or bias has the wrong number of elements");
    }
    const bool last = stages_.size() + 1 == spec.stages.size();
    // A rank of 1 is depthwise as well, but not an input of one channel, which is never blocked.
    const ConvolutionShape& shape = stage.shape;
    stage.depthwise = !last && shape.groups == shape.in_channels && shape.groups == shape.out_channels &&
                      (shape.groups > 1 || !stages_.empty());
    stages_.push_back(std::move(stage));
    in.c = channels;
    in.h = out_h;
    in.w = out_w;
  }
  has_head_ = !stages_[0].depthwise;
  depthwise_ = stages_.size() - 1 - (has_head_ ? 1 : 0);
  if (depthwise_ > 2) throw Error(ErrorCode::unsupported, "cp_block: more than two depthwise stages in bf16");
  for (std::size_t i = 1; i + 1 < stages_.size(); ++i) {
    if (!stages_[i].depthwise) throw Error(ErrorCode::unsupported, "cp_block: a stage between is not depthwise");
  }
  const auto pointwise = [](const Window& w) {
    return w.kernel[0] == 1 && w.kernel[1] == 1 && w.strides[0] == 1 && w.strides[1] == 1 && w.pads[0] == 0 &&
           w.pads[1] == 0 && w.pads[2] == 0 && w.pads[3] == 0;
  };
  if (!pointwise(stages_.back().shape.window) || in.c != out.c * spec.maxout.pieces || in.h != out.h || in.w != out.w)
    throw Error(ErrorCode::shape, "cp_block: the stages do not lead to the output's shape");
  if (input.bf16 == (has_head_ && !pointwise(stages_[0].shape.window)))
    throw Error(ErrorCode::argument, "cp_block: the input is of the wrong kind for bf16");
  if (!has_head_ && input.layout.block != out.block)
    throw Error(ErrorCode::argument, "cp_block: a depthwise stage needs a blocked input");
}

// Each group of the rank on blocks of its own, unless most of them would be padding.
void Bf16CpStages::place_rank(const Value& input, int block) {
  const ConvolutionShape& expand = stages_.back().shape;
  const std::int64_t rank = expand.in_channels;
  const auto whole = [&](std::int64_t count) { return (count + block - 1) / block * block; };
  const std::int64_t groups = std::max(expand.groups, has_head_ ? stages_[0].shape.groups : 1);
  rank_ = ChannelPlaces::dense(rank);
  width_ = whole(rank);
  // Without a reduce stage the input's layout is what there is.
  if (!has_head_ || !input.bf16 || rank % groups != 0) return;
  const std::int64_t padded = whole(rank / groups) * groups;
  if (padded * 3 > whole(rank) * 4) return;
  rank_ = {rank / groups, padded / groups};
  width_ = padded;
}

}  // namespace polyadic

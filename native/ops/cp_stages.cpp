#include "cp_stages.h"

#include "../core/cpu_features.h"
#include "../core/status.h"

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

std::vector<CpStage> cp_stages(const StepSpec& spec, StepResources resources) {
  Layout in = resources.values[static_cast<std::size_t>(spec.inputs[0])].layout;
  std::vector<CpStage> stages;
  for (const ConvolutionSpec& conv : spec.stages) {
    CpStage stage;
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
    stages.push_back(stage);
    in.c = channels;
    in.h = out_h;
    in.w = out_w;
  }
  const Layout& out = resources.values[static_cast<std::size_t>(spec.output)].layout;
  if (in.c != out.c * spec.maxout.pieces || in.h != out.h || in.w != out.w)
    throw Error(ErrorCode::shape, "cp_block: the stages do not lead to the output's shape");
  return stages;
}

std::string bands_reason(std::int64_t band, std::int64_t height, std::int64_t bytes, std::int64_t room,
                         const char* share) {
  return (band == height ? std::string("whole images") : "bands of " + std::to_string(band) + " rows") + ": " +
         in_kib(bytes) + " between the stages" + (bytes <= room ? " fit " : ", the least, do not fit ") + share +
         " of L2's " + in_kib(second_level_cache_bytes());
}

}  // namespace polyadic

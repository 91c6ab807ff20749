// Part of Plan: how values lie in memory: blocked or plain, with which halo, in which order of channels, and which in
// the caller's memory.
#include "plan.h"

#include <algorithm>

#include "../core/bf16.h"
#include "../core/dispatch.h"
#include "../core/limits.h"
#include "../core/status.h"
#include "../ops/bf16/gather.h"
#include "../ops/cp_stages.h"

namespace polyadic {
namespace {

const ConvolutionSpec& first_convolution(const StepSpec& step) {
  return step.op == Op::cp_block ? step.stages.front() : step.convolution;
}

}  // namespace

// Blocked everywhere, but plain for an input of few channels that only convolutions read: padding it to a block would
// multiply its memory.
void Plan::choose_layouts() {
  const int block = kernels().f32.block;
  std::vector<bool> plain(spec_.values.size(), false);
  for (const int input : spec_.inputs) {
    plain[static_cast<std::size_t>(input)] = spec_.values[static_cast<std::size_t>(input)].c < block;
  }
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) {
      const ValueSpec& v = spec_.values[static_cast<std::size_t>(value)];
      if (!is_convolution(step.op) || value == step.residual ||
          (v.bf16 && !Bf16Gather::reads_plain(first_convolution(step).window, first_convolution(step).groups, v.c)))
        plain[static_cast<std::size_t>(value)] = false;
    }
  }
  for (std::size_t i = 0; i < spec_.values.size(); ++i) {
    const ValueSpec& v = spec_.values[i];
    Value value;
    value.layout = Layout{v.n, v.c, v.h, v.w, plain[i] || v.dense ? 1 : v.bf16 ? bf16_block() : block, {}};
    value.bf16 = v.bf16;
    value.grad_layout = Layout{v.n, v.c, v.h, v.w, v.dense ? 1 : block, {}};
    values_.push_back(value);
  }
  for (StepSpec& step : spec_.steps) {
    step.dense_values = spec_.values[static_cast<std::size_t>(step.output)].dense;
    if (step.op == Op::conv_transpose) {
      Value& in = values_[static_cast<std::size_t>(step.inputs[0])];
      Value& out = values_[static_cast<std::size_t>(step.output)];
      const ConvolutionShape shape =
          convolution_shape(step.convolution, out.layout, in.layout.c, in.layout.h, in.layout.w);
      in.layout.halo.grow(backward_halo(shape));
      if (spec_.training) out.grad_layout.halo.grow(needed_halo(forward_phases(shape, 1), out.layout.h, out.layout.w));
    }
    if (!is_convolution(step.op)) continue;
    const ConvolutionSpec& conv = first_convolution(step);
    Value& in = values_[static_cast<std::size_t>(step.inputs[0])];
    Value& out = values_[static_cast<std::size_t>(step.output)];
    ConvolutionShape shape{conv.window, conv.groups, in.layout.c, out.layout.c, in.layout.h, in.layout.w, 0, 0};
    shape.batch = conv.batch;
    shape.out_h = output_extent(conv.window, 0, in.layout.h);
    shape.out_w = output_extent(conv.window, 1, in.layout.w);
    in.layout.halo.grow(needed_halo(forward_phases(shape, 1), in.layout.h, in.layout.w));
    // Tiles reduce an image with the columns around it, which then are there for the stage after that.
    if (step.op == Op::cp_block && in.bf16 && bf16_kernels().matrix && step.stages.size() > 2) {
      const ConvolutionSpec& next = step.stages[1];
      ConvolutionShape columns{next.window, next.groups, 0, 0, shape.out_h, shape.out_w, 0, 0};
      columns.out_w = output_extent(next.window, 1, shape.out_w);
      in.layout.halo.grow(column_halo(columns));
    }
    if (spec_.training) out.grad_layout.halo.grow(backward_halo(shape));
  }
}

// Several steps may each want another side of a value padded: together that may be more than any of them was checked
// for. In double, where nothing overflows.
void Plan::check_layouts() const {
  const auto check = [](const Layout& layout) {
    const Halo& halo = layout.halo;
    const auto padded = [](std::int64_t before, std::int64_t extent, std::int64_t after) {
      return static_cast<double>(before) + static_cast<double>(extent) + static_cast<double>(after);
    };
    const double floats = static_cast<double>(layout.n) * static_cast<double>(layout.c + layout.block) *
                          padded(halo.top, layout.h, halo.bottom) * padded(halo.left, layout.w, halo.right);
    if (!(floats <= static_cast<double>(kMostElements)))
      throw Error(ErrorCode::unsupported, "a value is too large with the padding that its readers want together");
  };
  for (const Value& value : values_) {
    check(value.layout);
    check(value.grad_layout);
  }
}

// CP blocks at the edge of a plan read planes and write them, where they are: converting would take a tenth of their
// time. All that bfloat16 kernels compute can be written so. Few channels are plain anyway, and need no copy where no
// halo is wanted.
void Plan::choose_direct() {
  direct_.assign(values_.size(), false);
  if (spec_.training) return;
  std::vector<int> uses(values_.size(), 0), writers(values_.size(), 0);
  std::vector<int> blocks(values_.size(), 0);  // uses by steps that take planes
  for (const int value : spec_.outputs) ++uses[static_cast<std::size_t>(value)];
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) ++uses[static_cast<std::size_t>(value)];
    ++writers[static_cast<std::size_t>(step.output)];
    if (step.bf16) ++blocks[static_cast<std::size_t>(step.output)];
    if (step.op != Op::cp_block || step.bf16) continue;
    const std::size_t in = static_cast<std::size_t>(step.inputs[0]), out = static_cast<std::size_t>(step.output);
    if (step.stages.front().groups < values_[in].layout.c) ++blocks[in];
    if (step.residual < 0 && step.maxout.pieces == 1) ++blocks[out];
  }
  for (const int input : spec_.inputs) {
    const std::size_t i = static_cast<std::size_t>(input);
    Layout& layout = values_[i].layout;
    if (writers[i]++ > 0) continue;  // it, too, is written before the first step
    // Planes a multiple of 1 KiB apart would crowd on few sets of the first-level cache.
    if (!spec_.values[i].dense && uses[i] == blocks[i] && layout.halo.empty() && layout.h * layout.w % 256 != 0)
      layout.block = 1;
    const bool kept = std::find(spec_.outputs.begin(), spec_.outputs.end(), input) != spec_.outputs.end();
    direct_[i] = layout.block == 1 && layout.halo.empty() && !kept && !spec_.values[i].dense && !values_[i].bf16;
  }
  for (const int output : spec_.outputs) {
    const std::size_t i = static_cast<std::size_t>(output);
    if (spec_.values[i].dense || uses[i] != 1 || writers[i] != 1 || blocks[i] != 1)
      continue;  // read by nothing but the caller
    values_[i].layout.block = 1;
    direct_[i] = true;
  }
}

// Training keeps what goes into a maxout. Where a convolution makes it for nothing else, its channels lie by pieces,
// unless that would leave many places empty.
void Plan::order_channels() {
  std::vector<int> uses(values_.size(), 0);
  std::vector<const StepSpec*> makers(values_.size(), nullptr);
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) ++uses[static_cast<std::size_t>(value)];
    makers[static_cast<std::size_t>(step.output)] = &step;
  }
  for (const int output : spec_.outputs) ++uses[static_cast<std::size_t>(output)];
  for (const StepSpec& step : spec_.steps) {
    if (step.op != Op::maxout || step.maxout.pieces < 2) continue;
    const std::size_t in = static_cast<std::size_t>(step.inputs[0]);
    const StepSpec* maker = makers[in];
    if (uses[in] != 1 || !maker || maker->op != Op::convolution || maker->convolution.groups != 1 ||
        maker->residual >= 0)
      continue;
    Value& value = values_[in];
    const ChannelOrder order{step.maxout, value.layout.c, value.layout.block};
    if (4 * order.places() > 5 * value.layout.blocks() * value.layout.block) continue;
    value.order = order;
    value.layout.c = value.grad_layout.c = order.places();
  }
}

}  // namespace polyadic

// Maxout over groups of channels, where it is not part of a convolution.
#include <algorithm>
#include <string>
#include <vector>

#include "../core/dispatch.h"
#include "../core/status.h"
#include "step.h"

namespace polyadic {
namespace {

class MaxoutStep : public Step {
 public:
  MaxoutStep(const StepSpec& spec, StepResources resources)
      : maxout_(spec.maxout),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const std::int64_t channels = in_.order.by_pieces() ? in_.order.channels : in_.layout.c;
    if (channels != out_.layout.c * maxout_.pieces || in_.layout.h != out_.layout.h || in_.layout.w != out_.layout.w ||
        in_.layout.block != out_.layout.block) {
      throw Error(ErrorCode::shape, "maxout: shapes do not fit each other");
    }
    if (in_.order.by_pieces()) return;
    places_ = places(in_.layout);
    gradient_places_ = places(in_.grad_layout);
  }

  void forward(const Context& context) override {
    const TrainingKernels& kernel = kernels().training;
    if (in_.order.by_pieces()) return each_row_by_pieces(context, kernel.maxout_blocks);
    each_row_of_blocks(context, kernel.maxout);
  }

  // The gradient goes to the first piece that holds the maximum.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const TrainingKernels& kernel = kernels().training;
    if (in_.order.by_pieces()) return each_row_by_pieces(context, kernel.maxout_blocks_gradient);
    each_row_of_blocks(context, [&](const MaxoutArgs& args) { kernel.maxout_gradient(args, accumulate[0]); });
  }

  std::string kernel() const override { return in_.order.by_pieces() ? "by pieces" : "plain"; }

 private:
  // [blocks of the output][pieces][block]: where in a pixel of `layout` each piece of each output channel is.
  std::vector<std::int32_t> places(const Layout& layout) const {
    std::vector<std::int32_t> list;
    const int block = out_.layout.block;
    for (std::int64_t b = 0; b < out_.layout.blocks(); ++b) {
      for (std::int64_t j = 0; j < maxout_.pieces; ++j) {
        for (std::int64_t o = b * block; o < (b + 1) * block; ++o) {
          const std::int64_t channel = o < out_.layout.c ? maxout_.channel(o, j, in_.layout.c) : 0;
          list.push_back(static_cast<std::int32_t>(layout.channel(channel)));
        }
      }
    }
    return list;
  }

  template <class F>
  void each_row_of_blocks(const Context& context, F&& f) const {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const std::int64_t blocks = out.blocks();
    context.parallel(out.n * blocks, [&](std::int64_t index, int) {
      const std::int64_t n = index / blocks, b = index % blocks;
      const std::size_t first = static_cast<std::size_t>(b * maxout_.pieces * out.block);
      MaxoutArgs args{};
      args.pieces = places_.data() + first;
      args.dx_pieces = gradient_places_.data() + first;
      args.count = maxout_.pieces;
      args.pixels = out.w;
      args.lanes = static_cast<int>(std::min<std::int64_t>(out.block, out.c - b * out.block));
      for (std::int64_t y = 0; y < out.h; ++y) {
        args.x = in_.data + in.at(n) + in.pixel(y, 0);
        args.y = out_.data + out.at(n, b) + out.pixel(y, 0);
        if (out_.grad) args.dy = out_.grad + out_.grad_layout.at(n, b) + out_.grad_layout.pixel(y, 0);
        if (in_.grad) args.dx = in_.grad + in_.grad_layout.at(n) + in_.grad_layout.pixel(y, 0);
        f(args);
      }
    });
  }

  // The pieces of a block of output channels are blocks of the input, one after another. Nobody else adds to its
  // gradient.
  template <class F>
  void each_row_by_pieces(const Context& context, F&& f) const {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const std::int64_t blocks = out.blocks();
    context.parallel(out.n * blocks, [&](std::int64_t index, int) {
      const std::int64_t n = index / blocks, b = index % blocks;
      MaxoutBlocksArgs args{};
      args.count = maxout_.pieces;
      args.x_piece = in.plane();
      args.dx_piece = in_.grad_layout.plane();
      args.pixels = out.w;
      for (std::int64_t y = 0; y < out.h; ++y) {
        args.x = in_.data + in.at(n, b * maxout_.pieces) + in.pixel(y, 0);
        args.y = out_.data + out.at(n, b) + out.pixel(y, 0);
        if (out_.grad) args.dy = out_.grad + out_.grad_layout.at(n, b) + out_.grad_layout.pixel(y, 0);
        if (in_.grad) args.dx = in_.grad + in_.grad_layout.at(n, b * maxout_.pieces) + in_.grad_layout.pixel(y, 0);
        f(args);
      }
    });
  }

  Maxout maxout_;
  Value& in_;
  Value& out_;
  std::vector<std::int32_t> places_, gradient_places_;
};

}  // namespace

std::unique_ptr<Step> make_maxout(const StepSpec& spec, StepResources resources) {
  return std::make_unique<MaxoutStep>(spec, resources);
}

}  // namespace polyadic

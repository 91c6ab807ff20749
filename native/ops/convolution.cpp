// Convolution: forward with its epilogue, backward to data, weights and bias.
#include <string>

#include "../core/status.h"
#include "activation.h"
#include "depthwise.h"
#include "epilogue.h"
#include "gather.h"
#include "step.h"

namespace polyadic {

ConvolutionShape convolution_shape(const ConvolutionSpec& spec, const Layout& in, std::int64_t out_channels,
                                   std::int64_t out_h, std::int64_t out_w) {
  ConvolutionShape shape{spec.window, spec.groups, in.c, out_channels, in.h, in.w, out_h, out_w};
  if (spec.groups < 1 || in.c % spec.groups != 0 || out_channels % spec.groups != 0 ||
      output_extent(spec.window, 0, in.h) != out_h || output_extent(spec.window, 1, in.w) != out_w) {
    throw Error(ErrorCode::shape, "convolution: geometry and shapes do not fit each other");
  }
  return shape;
}

namespace {

void bias_gradient(const Context& context, const Value& out, float* grad) {
  const Layout& layout = out.grad_layout;
  context.parallel(layout.blocks(), [&](std::int64_t b, int) {
    double sums[16] = {};
    for (std::int64_t n = 0; n < layout.n; ++n) {
      for (std::int64_t y = 0; y < layout.h; ++y) {
        const float* at = out.grad + layout.at(n, b) + y * layout.row();
        float row[16] = {};
        for (std::int64_t x = 0; x < layout.w; ++x, at += layout.block) {
          for (int lane = 0; lane < layout.block; ++lane) row[lane] += at[lane];
        }
        for (int lane = 0; lane < layout.block; ++lane) sums[lane] += static_cast<double>(row[lane]);
      }
    }
    for (std::int64_t c = b * layout.block; c < std::min<std::int64_t>((b + 1) * layout.block, layout.c); ++c) {
      grad[c] += static_cast<float>(sums[c - b * layout.block]);
    }
  });
}

class Convolution : public Step {
 public:
  Convolution(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        weight_(resources.parameters[static_cast<std::size_t>(spec.convolution.weight)]),
        bias_(spec.convolution.bias < 0 ? nullptr
                                        : &resources.parameters[static_cast<std::size_t>(spec.convolution.bias)]),
        epilogue_(spec, resources),
        shape_(convolution_shape(spec.convolution, in_.layout, out_.layout.c * spec.maxout.pieces, out_.layout.h,
                                 out_.layout.w)) {
    if (static_cast<std::int64_t>(weight_.data.size()) != shape_.weight_count() ||
        (bias_ && static_cast<std::int64_t>(bias_->data.size()) != shape_.out_channels)) {
      throw Error(ErrorCode::shape, "convolution: weight or bias has the wrong number of elements");
    }
    depthwise_ = shape_.depthwise() && spec.maxout.pieces == 1 && in_.layout.block == out_.layout.block;
    using Direction = Gather::Direction;
    if (depthwise_) {
      narrow_ = Depthwise(shape_, Direction::forward, in_.layout, out_.layout);
      if (in_.needs_grad) narrow_back_ = Depthwise(shape_, Direction::backward_data, out_.grad_layout, in_.grad_layout);
    } else {
      wide_ = Gather(shape_, Direction::forward, in_.layout, out_.layout, spec.maxout);
      if (in_.needs_grad) wide_back_ = Gather(shape_, Direction::backward_data, out_.grad_layout, in_.grad_layout);
    }
  }

  void pack(const Context& context) override {
    const float* bias = bias_ ? bias_->data.data() : nullptr;
    if (depthwise_) {
      narrow_.pack(weight_.data.data(), bias);
      if (in_.needs_grad) narrow_back_.pack(weight_.data.data(), nullptr);
    } else {
      wide_.pack(context, weight_.data.data(), bias);
      if (in_.needs_grad) wide_back_.pack(context, weight_.data.data(), nullptr);
    }
  }

  void packed_for_good() override { wide_.release_indices(); }

  void forward(const Context& context) override {
    const int options = epilogue_.fused_options();
    if (depthwise_) {
      narrow_.run(context, in_.data, out_.data, options);
    } else {
      wide_.run(context, in_.data, out_.data, options);
    }
    epilogue_.finish(context);
  }

  void backward(const Context& context) override {
    if (weight_.trainable) {
      if (depthwise_) {
        narrow_.weight_gradient(context, in_.data, out_.grad, out_.grad_layout, weight_.grad.data());
      } else {
        wide_.weight_gradient(context, in_.data, out_.grad, out_.grad_layout, weight_.grad.data());
      }
    }
    if (bias_ && bias_->trainable) bias_gradient(context, out_, bias_->grad.data());
    if (!in_.needs_grad) return;
    const int options = accumulate[0] ? Gather::kAccumulate : 0;
    if (depthwise_) {
      narrow_back_.run(context, out_.grad, in_.grad, options);
    } else {
      wide_back_.run(context, out_.grad, in_.grad, options);
    }
  }

  std::string kernel() const override {
    if (depthwise_) return "depthwise " + window_name(shape_.window);
    return "direct " + window_name(shape_.window) + ", panels of " + std::to_string(wide_.panel_blocks()) + " blocks" +
           epilogue_.name();
  }
  std::size_t weight_bytes() const override { return depthwise_ ? narrow_.weight_bytes() : wide_.weight_bytes(); }
  std::size_t scratch_floats() const override { return Gather::scratch_floats(); }

 private:
  Value& in_;
  Value& out_;
  Parameter& weight_;
  Parameter* bias_;
  Epilogue epilogue_;
  ConvolutionShape shape_;
  bool depthwise_ = false;
  Gather wide_, wide_back_;
  Depthwise narrow_, narrow_back_;
};

}  // namespace

std::unique_ptr<Step> make_convolution(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Convolution>(spec, resources);
}

}  // namespace polyadic

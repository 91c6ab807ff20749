// A transposed convolution is the backward pass to the data of the convolution that it transposes.
#include "../core/status.h"
#include "batch_sums.h"
#include "depthwise.h"
#include "epilogue.h"
#include "gather.h"
#include "step.h"

namespace polyadic {
namespace {

class ConvTranspose : public Step {
 public:
  ConvTranspose(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        weight_(resources.parameters[static_cast<std::size_t>(spec.convolution.weight)]),
        bias_(spec.convolution.bias < 0 ? nullptr
                                        : &resources.parameters[static_cast<std::size_t>(spec.convolution.bias)]),
        shape_(convolution_shape(spec.convolution, out_.layout, in_.layout.c, in_.layout.h, in_.layout.w)) {
    if (static_cast<std::int64_t>(weight_.data.size()) != shape_.weight_count() ||
        (bias_ && static_cast<std::int64_t>(bias_->data.size()) != shape_.in_channels)) {
      throw Error(ErrorCode::shape, "conv_transpose: weight or bias has the wrong number of elements");
    }
    depthwise_ = shape_.depthwise();
    if (depthwise_) {
      narrow_ = Depthwise(shape_, Gather::Direction::backward_data, in_.layout, out_.layout);
    } else {
      wide_ = Gather(shape_, Gather::Direction::backward_data, in_.layout, out_.layout);
    }
    if (!out_.needs_grad) return;
    sums_ = ChannelSums(out_.layout.c);
    prepare_backward();
  }

  void pack(const Context& context) override {
    const float* bias = bias_ ? bias_->data.data() : nullptr;
    if (depthwise_) {
      narrow_.pack(weight_.data.data(), bias);
    } else {
      wide_.pack(context, weight_.data.data(), bias);
    }
    if (!out_.needs_grad) return;
    if (depthwise_) {
      narrow_back_.pack(weight_.data.data(), nullptr);
    } else {
      wide_back_.pack(context, weight_.data.data(), nullptr);
    }
  }

  void packed_for_good() override { wide_.release_indices(); }
  std::size_t share_weights(WeightStore& store) override { return depthwise_ ? 0 : wide_.share_weights(store); }

  void forward(const Context& context) override {
    if (depthwise_) {
      narrow_.run(context, in_.data, out_.data, 0);
    } else {
      wide_.run(context, in_.data, out_.data, 0);
    }
  }

  // Turned round: the convolution itself leads from the output's gradient to the input's, and what was its gradient is
  // the input.
  void backward(const Context& context) override {
    if (bias_ && bias_->trainable) bias_gradient(context);
    if (weight_.trainable) weight_gradient(context);
    if (!in_.needs_grad) return;
    const int options = accumulate[0] ? Gather::kAccumulate : 0;
    if (depthwise_) {
      narrow_back_.run(context, out_.grad, in_.grad, options);
    } else {
      wide_back_.run(context, out_.grad, in_.grad, options);
    }
  }

  std::string kernel() const override {
    return std::string(depthwise_ ? "depthwise " : "transposed ") + window_name(shape_.window);
  }
  std::size_t weight_bytes() const override { return depthwise_ ? narrow_.weight_bytes() : wide_.weight_bytes(); }
  std::size_t scratch_floats() const override { return Gather::scratch_floats(); }

 private:
  void prepare_backward() {
    if (depthwise_) {
      narrow_back_ = Depthwise(shape_, Gather::Direction::forward, out_.grad_layout, in_.grad_layout);
      if (weight_.trainable) gradient_ = SharedGradient(weight_.data.size());
      return;
    }
    wide_back_ = Gather(shape_, Gather::Direction::forward, out_.grad_layout, in_.grad_layout);
    if (weight_.trainable) gradient_ = SharedGradient(wide_back_.packed_order());
  }

  void weight_gradient(const Context& context) {
    float* sums = gradient_.sums(context);
    if (depthwise_) {
      narrow_back_.weight_gradient(context, out_.grad, in_.data, in_.layout, sums);
    } else {
      wide_back_.weight_gradient(context, out_.grad, in_.data, in_.layout, sums);
    }
    gradient_.add_to(context, weight_);
  }

  void bias_gradient(const Context& context) {
    const Layout& layout = out_.grad_layout;
    context.parallel(layout.c, [&](std::int64_t c, int) {
      double* const total = sums_.from(context, c, 1);
      double sum = *total;
      for (std::int64_t n = 0; n < layout.n; ++n) {
        const float* dy = out_.grad + layout.at(n) + layout.channel(c);
        for (std::int64_t y = 0; y < layout.h; ++y) {
          for (std::int64_t x = 0; x < layout.w; ++x) sum += static_cast<double>(dy[layout.pixel(y, x)]);
        }
      }
      *total = sum;
      if (context.last_slice()) bias_->grad[static_cast<std::size_t>(c)] += static_cast<float>(sum);
    });
  }

  Value& in_;
  Value& out_;
  Parameter& weight_;
  Parameter* bias_;
  ConvolutionShape shape_;
  bool depthwise_ = false;
  Gather wide_;
  Depthwise narrow_;
  // Backward: the convolution that is transposed.
  Gather wide_back_;
  Depthwise narrow_back_;
  SharedGradient gradient_;
  ChannelSums sums_;
};

}  // namespace

std::unique_ptr<Step> make_conv_transpose(const StepSpec& spec, StepResources resources) {
  return std::make_unique<ConvTranspose>(spec, resources);
}

}  // namespace polyadic

// A transposed convolution is the backward pass to the data of the convolution that it transposes.
#include "../core/status.h"
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
  }

  void pack(const Context& context) override {
    const float* bias = bias_ ? bias_->data.data() : nullptr;
    if (depthwise_) {
      narrow_.pack(weight_.data.data(), bias);
    } else {
      wide_.pack(context, weight_.data.data(), bias);
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

  std::string kernel() const override {
    return std::string(depthwise_ ? "depthwise " : "transposed ") + window_name(shape_.window);
  }
  std::size_t weight_bytes() const override { return depthwise_ ? narrow_.weight_bytes() : wide_.weight_bytes(); }
  std::size_t scratch_floats() const override { return Gather::scratch_floats(); }

 private:
  Value& in_;
  Value& out_;
  Parameter& weight_;
  Parameter* bias_;
  ConvolutionShape shape_;
  bool depthwise_ = false;
  Gather wide_;
  Depthwise narrow_;
};

}  // namespace

std::unique_ptr<Step> make_conv_transpose(const StepSpec& spec, StepResources resources) {
  return std::make_unique<ConvTranspose>(spec, resources);
}

}  // namespace polyadic

// Convolution: forward with its epilogue, backward to data, weights and bias.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/status.h"
#include "activation.h"
#include "batch_sums.h"
#include "depthwise.h"
#include "epilogue.h"
#include "gather.h"
#include "step.h"
#include "winograd.h"

namespace polyadic {

ConvolutionShape convolution_shape(const ConvolutionSpec& spec, const Layout& in, std::int64_t out_channels,
                                   std::int64_t out_h, std::int64_t out_w) {
  ConvolutionShape shape{spec.window, spec.groups, in.c, out_channels, in.h, in.w, out_h, out_w, spec.batch};
  if (spec.groups < 1 || in.c % spec.groups != 0 || out_channels % spec.groups != 0 ||
      output_extent(spec.window, 0, in.h) != out_h || output_extent(spec.window, 1, in.w) != out_w) {
    throw Error(ErrorCode::shape, "convolution: geometry and shapes do not fit each other");
  }
  return shape;
}

namespace {

class Convolution : public Step {
 public:
  Convolution(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        weight_(resources.parameters[static_cast<std::size_t>(spec.convolution.weight)]),
        bias_(spec.convolution.bias < 0 ? nullptr
                                        : &resources.parameters[static_cast<std::size_t>(spec.convolution.bias)]),
        residual_(spec.residual < 0 ? nullptr : &resources.values[static_cast<std::size_t>(spec.residual)]),
        relu_(spec.activation.kind == ActivationSpec::Kind::relu),
        epilogue_(spec, resources),
        shape_(convolution_shape(spec.convolution, in_.layout,
                                 out_.order.by_pieces() ? out_.order.channels : out_.layout.c * spec.maxout.pieces,
                                 out_.layout.h, out_.layout.w)) {
    if (static_cast<std::int64_t>(weight_.data.size()) != shape_.weight_count() ||
        (bias_ && static_cast<std::int64_t>(bias_->data.size()) != shape_.out_channels)) {
      throw Error(ErrorCode::shape, "convolution: weight or bias has the wrong number of elements");
    }
    depthwise_ = shape_.depthwise() && spec.maxout.pieces == 1 && in_.layout.block == out_.layout.block;
    using Direction = Gather::Direction;
    if (depthwise_) {
      why_ = "each channel by itself: there is nothing to sum over";
      narrow_ = Depthwise(shape_, Direction::forward, in_.layout, out_.layout);
      if (in_.needs_grad) narrow_back_ = Depthwise(shape_, Direction::backward_data, out_.grad_layout, in_.grad_layout);
      if (weight_.trainable && weight_.uses != 1) shared_gradient_ = SharedGradient(weight_.data.size());
    } else if (const int m = winograd_tile(spec, resources.training)) {
      fast_ = std::make_unique<Winograd>(shape_, in_.layout, out_.layout, m, resources.threads);
    } else {
      wide_ = Gather(shape_, Direction::forward, in_.layout, out_.layout, spec.maxout, out_.order);
      if (in_.needs_grad)
        wide_back_ = Gather(shape_, Direction::backward_data, out_.grad_layout, in_.grad_layout, {}, out_.order);
      if (resources.training) keep_packed();
    }
    if (resources.training) sums_ = ChannelSums(out_.grad_layout.blocks() * out_.grad_layout.block);
  }

  void pack(const Context& context) override {
    const float* bias = bias_ ? bias_->data.data() : nullptr;
    if (depthwise_) {
      narrow_.pack(weight_.data.data(), bias);
      if (in_.needs_grad) narrow_back_.pack(weight_.data.data(), nullptr);
    } else if (fast_) {
      fast_->pack(context, weight_.data.data(), bias);
    } else if (weight_.packing != &wide_) {
      wide_.pack(context, weight_.data.data(), bias);
      if (in_.needs_grad) wide_back_.pack(context, weight_.data.data(), nullptr);
    } else {
      wide_.use_packed(weight_.data.data(), bias);
      if (in_.needs_grad && packed_version_ != weight_.version)
        wide_back_.pack_from(context, wide_, weight_.data.data());
      packed_version_ = weight_.version;
    }
  }

  void packed_for_good() override { wide_.release_indices(); }
  // Depthwise weights are few.
  std::size_t share_weights(WeightStore& store) override {
    return depthwise_ ? 0 : fast_ ? fast_->share_weights(store) : wide_.share_weights(store);
  }

  void forward(const Context& context) override {
    if (fast_) return forward_fast(context);
    const int options = epilogue_.fused_options();
    if (depthwise_) {
      narrow_.run(context, in_.data, out_.data, options);
    } else {
      wide_.run(context, in_.data, out_.data, options);
    }
    epilogue_.finish(context);
  }

  void backward(const Context& context) override {
    if (relu_ || residual_ || (bias_ && bias_->trainable)) epilogue_gradient(context);
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
    if (depthwise_) return "depthwise " + window_name(shape_.window);
    if (fast_) return fast_->name() + epilogue_.name();
    return "direct " + window_name(shape_.window) + ", " + wide_.tile_name() + epilogue_.name();
  }
  std::string why() const override { return fast_ ? why_ + "; " + fast_->portion_reason() : why_; }
  std::size_t weight_bytes() const override {
    return depthwise_ ? narrow_.weight_bytes() : fast_ ? fast_->weight_bytes() : wide_.weight_bytes();
  }
  std::size_t scratch_floats() const override { return fast_ ? fast_->scratch_floats() : Gather::scratch_floats(); }

 private:
  int winograd_tile(const StepSpec& spec, bool training) {
    const Algorithm algorithm = training ? Algorithm::direct : spec.convolution.algorithm;
    if (algorithm == Algorithm::automatic) {
      Winograd::Choice choice = Winograd::choose(shape_, in_.layout, out_.layout);
      why_ = std::move(choice.why);
      return choice.m;
    }
    why_ = training ? "training is always direct" : "asked for";
    if (algorithm == Algorithm::direct) return 0;
    if (const std::string reason = Winograd::obstacle(shape_, in_.layout, out_.layout); !reason.empty())
      throw Error(ErrorCode::argument, "convolution: this one has no Winograd form: " + reason);
    return algorithm == Algorithm::winograd2 ? 2 : 4;
  }

  void forward_fast(const Context& context) {
    WinogradEnd end;
    end.relu = relu_;
    if (residual_) {
      end.residual = residual_->data;
      end.residual_layout = &residual_->layout;
    }
    fast_->run(context, in_.data, out_.data, end);
    if (!relu_) epilogue_.activate(context);
  }

  // Weights of this step alone stay in the order in which the forward gather reads them: nothing is packed or scattered
  // between steps but what the backward gather needs.
  void keep_packed() {
    if (weight_.uses != 1) {
      if (weight_.trainable) shared_gradient_ = SharedGradient(wide_.packed_order());
      return;
    }
    const std::vector<std::int32_t> order = wide_.packed_order();
    Buffer packed(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (order[i] >= 0) packed[i] = weight_.data[static_cast<std::size_t>(order[i])];
    }
    weight_.data = std::move(packed);
    weight_.packing = &wide_;
    if (in_.needs_grad) wide_back_.follow(wide_);
    wide_.use_packed(weight_.data.data(), nullptr);
  }

  void weight_gradient(const Context& context) {
    const bool is_shared = weight_.uses != 1;
    float* sums = is_shared ? shared_gradient_.sums(context) : weight_.grad.data();
    if (depthwise_) {
      narrow_.weight_gradient(context, in_.data, out_.grad, out_.grad_layout, sums);
    } else {
      wide_.weight_gradient(context, in_.data, out_.grad, out_.grad_layout, sums);
    }
    if (is_shared) shared_gradient_.add_to(context, weight_);
  }

  // Relu takes its part of the output's gradient away in place; what is left is the bias' and the residual's.
  void epilogue_gradient(const Context& context) {
    const TrainingKernels& kernel = kernels().training;
    const Layout& layout = out_.grad_layout;
    const bool to_residual = residual_ && residual_->needs_grad;
    const bool with_bias = bias_ && bias_->trainable;
    context.parallel(layout.blocks(), [&](std::int64_t b, int) {
      double* sums = sums_.from(context, b * layout.block, layout.block);
      for (std::int64_t n = 0; n < layout.n; ++n) {
        for (std::int64_t y = 0; y < layout.h; ++y) {
          float* dy = out_.grad + layout.at(n, b) + y * layout.row();
          const float* value = relu_ ? out_.data + out_.layout.at(n, b) + y * out_.layout.row() : nullptr;
          float row[16] = {};
          if (relu_ || with_bias) kernel.relu_rows(value, dy, layout.w, 0.0f, row);
          for (int lane = 0; lane < layout.block; ++lane) sums[lane] += static_cast<double>(row[lane]);
          if (!to_residual) continue;
          const Layout& other = residual_->grad_layout;
          kernel.deposit(dy, residual_->grad + other.at(n, b) + y * other.row(), layout.w * layout.block,
                         accumulate_residual);
        }
      }
      if (!with_bias || !context.last_slice()) return;
      for (std::int64_t c = b * layout.block; c < std::min<std::int64_t>((b + 1) * layout.block, layout.c); ++c) {
        const std::int64_t channel = out_.order.channel_at(c);
        if (channel >= 0)
          bias_->grad[static_cast<std::size_t>(channel)] += static_cast<float>(sums[c - b * layout.block]);
      }
    });
  }

  Value& in_;
  Value& out_;
  Parameter& weight_;
  Parameter* bias_;
  Value* residual_;
  bool relu_;
  Epilogue epilogue_;
  ConvolutionShape shape_;
  bool depthwise_ = false;
  Gather wide_, wide_back_;
  std::int64_t packed_version_ = -1;
  SharedGradient shared_gradient_;  // of weights that several steps read
  ChannelSums sums_;
  Depthwise narrow_, narrow_back_;
  std::unique_ptr<Winograd> fast_;
  std::string why_;  // this kernel
};

}  // namespace

std::unique_ptr<Step> make_convolution(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Convolution>(spec, resources);
}

}  // namespace polyadic

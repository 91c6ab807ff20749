// What follows a convolution's sum: the residual and the activation, in the kernel where it can do it, else in one
// pass.
#pragma once

#include <string>

#include "activation.h"
#include "gather.h"
#include "step.h"

namespace polyadic {

class Epilogue {
 public:
  Epilogue(const StepSpec& spec, StepResources resources)
      : activation_(spec.activation),
        pieces_(spec.maxout.pieces),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        residual_(spec.residual < 0 ? nullptr : &resources.values[static_cast<std::size_t>(spec.residual)]) {}

  // Options for Gather and Depthwise. Relu commutes with maxout, so it may be applied piece by piece.
  int fused_options() const {
    return activation_.kind == ActivationSpec::Kind::relu && !residual_ ? Gather::kApplyRelu : 0;
  }

  // What the kernels could not do.
  void finish(const Context& context) const {
    const bool activate = activation_.kind != ActivationSpec::Kind::none && fused_options() == 0;
    if (!residual_ && !activate) return;
    const Layout& other = residual_ ? residual_->layout : out_.layout;
    each_row(context, out_.layout, other, [&](std::int64_t out, std::int64_t from, std::int64_t count) {
      float* y = out_.data + out;
      if (residual_) {
        const float* r = residual_->data + from;
        for (std::int64_t i = 0; i < count; ++i) y[i] += r[i];
      }
      if (activate) apply_activation(activation_, y, y, count);
    });
  }

  // The activation alone, in one pass.
  void activate(const Context& context) const {
    if (activation_.kind == ActivationSpec::Kind::none) return;
    each_row(context, out_.layout, out_.layout, [&](std::int64_t out, std::int64_t, std::int64_t count) {
      apply_activation(activation_, out_.data + out, out_.data + out, count);
    });
  }

  std::string name() const {
    std::string text;
    if (pieces_ > 1) text += " + maxout " + std::to_string(pieces_);
    if (residual_) text += " + add";
    if (fused_options()) text += " + relu";
    return text;
  }

 private:
  ActivationSpec activation_;
  std::int64_t pieces_;
  Value& out_;
  Value* residual_;
};

inline std::string window_name(const Window& window) {
  return std::to_string(window.kernel[0]) + "x" + std::to_string(window.kernel[1]);
}

}  // namespace polyadic

// What follows a convolution's sum: the residual and the activation, in the kernel where it can do it, else in one
// pass.
#pragma once

#include <algorithm>
#include <string>

#include "../core/dispatch.h"
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
    if (is_done_by_kernels()) return;
    const Layout& other = residual_ ? residual_->layout : out_.layout;
    each_row(context, out_.layout, other,
             [&](std::int64_t out, std::int64_t from, std::int64_t count) { finish_row(out, from, count); });
  }

  // The same for pixels [begin, end) of a step that works band by band, while they are in the cache: counted over
  // `rows` rows an image from row `first` of some images on.
  void finish_pixels(std::int64_t image, std::int64_t first, std::int64_t rows, std::int64_t begin,
                     std::int64_t end) const {
    const Layout& out = out_.layout;
    const Layout& other = residual_ ? residual_->layout : out;
    for (std::int64_t p = begin; p < end;) {
      const std::int64_t n = image + p / (rows * out.w), y = first + p / out.w % rows, x = p % out.w;
      const std::int64_t count = std::min(end - p, out.w - x);
      for (std::int64_t b = 0; b < out.blocks(); ++b)
        finish_row(out.at(n, b) + out.pixel(y, x), other.at(n, b) + other.pixel(y, x), count * out.block);
      p += count;
    }
  }
  bool is_done_by_kernels() const {
    return !residual_ && (activation_.kind == ActivationSpec::Kind::none || fused_options() != 0);
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
  // `count` floats of the output from `out` on; the residual's begin at `from`.
  void finish_row(std::int64_t out, std::int64_t from, std::int64_t count) const {
    float* y = out_.data + out;
    const bool relu = activation_.kind == ActivationSpec::Kind::relu;
    if (residual_) kernels().row.add(residual_->data + from, y, count, relu);
    if (activation_.kind != ActivationSpec::Kind::none && !(residual_ && relu) && fused_options() == 0)
      apply_activation(activation_, y, y, count);
  }

  ActivationSpec activation_;
  std::int64_t pieces_;
  Value& out_;
  Value* residual_;
};

inline std::string window_name(const Window& window) {
  return std::to_string(window.kernel[0]) + "x" + std::to_string(window.kernel[1]);
}

}  // namespace polyadic

// Between blocked channels and dense N×C×H×W.
#include <algorithm>
#include <cstring>

#include "../../core/status.h"
#include "dense.h"

namespace polyadic {
namespace {

class Conversion : public Step {
 public:
  Conversion(const StepSpec& spec, StepResources resources)
      : to_dense_(spec.op == Op::to_dense),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const Layout& l = blocked().layout;
    if (dense().layout.size() != l.n * l.c * l.h * l.w)
      throw Error(ErrorCode::argument, "conversion: both values must have the same number of elements");
  }

  void forward(const Context& context) override {
    const Layout& layout = blocked().layout;
    if (to_dense_) {
      unpack(context, layout, in_.data, out_.data, false);
    } else {
      pack(context, layout, in_.data, out_.data, false);
    }
  }

  // Back the other way.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& layout = blocked().grad_layout;
    if (to_dense_) {
      pack(context, layout, out_.grad, in_.grad, accumulate[0]);
    } else {
      unpack(context, layout, out_.grad, in_.grad, accumulate[0]);
    }
  }

 private:
  const Value& blocked() const { return to_dense_ ? in_ : out_; }
  const Value& dense() const { return to_dense_ ? out_ : in_; }

  // f(where a row begins in blocks, where it does in planes, channels of it). A job is a channel block of an image.
  template <class F>
  static void each_line_of_blocks(const Context& context, const Layout& layout, F&& f) {
    const std::int64_t blocks = layout.blocks(), area = layout.h * layout.w;
    context.parallel(layout.n * blocks, [&](std::int64_t job, int) {
      const std::int64_t n = job / blocks, first = job % blocks * layout.block;
      const std::int64_t channels = std::min<std::int64_t>(layout.block, layout.c - first);
      const std::int64_t packed = layout.at(n, job % blocks), plain = (n * layout.c + first) * area;
      for (std::int64_t y = 0; y < layout.h; ++y) f(packed + y * layout.row(), plain + y * layout.w, channels);
    });
  }

  static void pack(const Context& context, const Layout& layout, const float* planes, float* blocks, bool add) {
    const std::int64_t area = layout.h * layout.w, block = layout.block;
    each_line_of_blocks(context, layout, [&](std::int64_t packed, std::int64_t plain, std::int64_t channels) {
      float* to = blocks + packed;
      if (!add && channels < block) std::memset(to, 0, static_cast<std::size_t>(layout.w * block) * sizeof(float));
      for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t x = 0; x < layout.w; ++x) deposit(to[x * block + c], planes[plain + c * area + x], add);
      }
    });
  }

  static void unpack(const Context& context, const Layout& layout, const float* blocks, float* planes, bool add) {
    const std::int64_t area = layout.h * layout.w, block = layout.block;
    each_line_of_blocks(context, layout, [&](std::int64_t packed, std::int64_t plain, std::int64_t channels) {
      float* to = planes + plain;
      for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t x = 0; x < layout.w; ++x) deposit(to[c * area + x], blocks[packed + x * block + c], add);
      }
    });
  }

  bool to_dense_;
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_conversion(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Conversion>(spec, resources);
}

}  // namespace polyadic

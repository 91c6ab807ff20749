// Sums and products of two values, and a scale and shift by channel.
#include <algorithm>

#include "../core/dispatch.h"
#include "batch_sums.h"
#include "step.h"

namespace polyadic {
namespace {

class Binary : public Step {
 public:
  Binary(const StepSpec& spec, StepResources resources)
      : multiply_(spec.op == Op::multiply),
        a_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        b_(resources.values[static_cast<std::size_t>(spec.inputs[1])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    each_plane_row(context, [&](std::int64_t n, std::int64_t block, std::int64_t y, std::int64_t count) {
      const float* a = a_.data + at(a_.layout, n, block, y);
      const float* b = b_.data + at(b_.layout, n, block, y);
      float* to = out_.data + at(out_.layout, n, block, y);
      if (multiply_) {
        for (std::int64_t i = 0; i < count; ++i) to[i] = a[i] * b[i];
      } else {
        for (std::int64_t i = 0; i < count; ++i) to[i] = a[i] + b[i];
      }
    });
  }

  void backward(const Context& context) override {
    if (a_.needs_grad) gradient(context, a_, b_, accumulate[0]);
    if (b_.needs_grad) gradient(context, b_, a_, accumulate[1]);
  }

 private:
  void gradient(const Context& context, Value& to, const Value& other, bool add) const {
    each_plane_row(context, [&](std::int64_t n, std::int64_t block, std::int64_t y, std::int64_t count) {
      const float* dy = out_.grad + at(out_.grad_layout, n, block, y);
      if (!multiply_) {
        kernels().training.deposit(dy, to.grad + at(to.grad_layout, n, block, y), count, add);
        return;
      }
      const float* factor = other.data + at(other.layout, n, block, y);
      float* dx = to.grad + at(to.grad_layout, n, block, y);
      for (std::int64_t i = 0; i < count; ++i) {
        const float value = dy[i] * factor[i];
        deposit(dx[i], value, add);
      }
    });
  }

  static std::int64_t at(const Layout& l, std::int64_t n, std::int64_t block, std::int64_t y) {
    return l.at(n, block) + y * l.row();
  }

  template <class F>
  void each_plane_row(const Context& context, F&& f) const {
    const Layout& l = out_.layout;
    context.parallel(l.n * l.blocks(), [&](std::int64_t plane, int) {
      for (std::int64_t y = 0; y < l.h; ++y) f(plane / l.blocks(), plane % l.blocks(), y, l.w * l.block);
    });
  }

  bool multiply_;
  Value& a_;
  Value& b_;
  Value& out_;
};

class Affine : public Step {
 public:
  Affine(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        scale_(resources.parameters[static_cast<std::size_t>(spec.scale)]),
        shift_(resources.parameters[static_cast<std::size_t>(spec.shift)]),
        by_scale_(resources.training ? in_.layout.c : 0),
        by_shift_(resources.training ? in_.layout.c : 0) {}

  // Row by row of a channel block, all its channels beside each other.
  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const int block = in.block;
    context.parallel(in.n * in.blocks(), [&](std::int64_t plane, int) {
      const std::int64_t n = plane / in.blocks(), b = plane % in.blocks();
      float scale[16] = {}, shift[16] = {};
      for (std::int64_t c = b * block; c < std::min<std::int64_t>((b + 1) * block, in.c); ++c) {
        scale[c - b * block] = scale_.data[static_cast<std::size_t>(c)];
        shift[c - b * block] = shift_.data[static_cast<std::size_t>(c)];
      }
      for (std::int64_t y = 0; y < in.h; ++y) {
        const float* x = in_.data + in.at(n, b) + y * in.row();
        float* to = out_.data + out.at(n, b) + y * out.row();
        if (block == 8) {
          scale_row<8>(x, to, in.w, scale, shift);
        } else if (block == 16) {
          scale_row<16>(x, to, in.w, scale, shift);
        } else {
          for (std::int64_t i = 0; i < in.w * block; ++i) to[i] = scale[i % block] * x[i] + shift[i % block];
        }
      }
    });
  }

  void backward(const Context& context) override {
    each_channel(context, [&](std::int64_t c) {
      double* const to_scale = by_scale_.from(context, c, 1);
      double* const to_shift = by_shift_.from(context, c, 1);
      double by_scale = *to_scale, by_shift = *to_shift;
      each_element(c, in_.layout, out_.grad_layout, [&](std::int64_t in, std::int64_t out) {
        by_scale += static_cast<double>(out_.grad[out]) * static_cast<double>(in_.data[in]);
        by_shift += static_cast<double>(out_.grad[out]);
      });
      *to_scale = by_scale;
      *to_shift = by_shift;
      const bool is_last = context.last_slice();
      if (is_last && scale_.trainable) scale_.grad[static_cast<std::size_t>(c)] += static_cast<float>(by_scale);
      if (is_last && shift_.trainable) shift_.grad[static_cast<std::size_t>(c)] += static_cast<float>(by_shift);
      if (!in_.needs_grad) return;
      const float scale = scale_.data[static_cast<std::size_t>(c)];
      each_element(c, in_.grad_layout, out_.grad_layout, [&](std::int64_t in, std::int64_t out) {
        const float value = scale * out_.grad[out];
        deposit(in_.grad[in], value, accumulate[0]);
      });
    });
  }

 private:
  template <int Block>
  static void scale_row(const float* x, float* y, std::int64_t pixels, const float* scale, const float* shift) {
    for (std::int64_t i = 0; i < pixels; ++i, x += Block, y += Block) {
      for (int lane = 0; lane < Block; ++lane) y[lane] = scale[lane] * x[lane] + shift[lane];
    }
  }

  template <class F>
  void each_channel(const Context& context, F&& f) const {
    context.parallel(in_.layout.c, [&](std::int64_t c, int) { f(c); });
  }

  template <class F>
  static void each_element(std::int64_t c, const Layout& a, const Layout& b, F&& f) {
    for (std::int64_t n = 0; n < a.n; ++n) {
      const std::int64_t from = a.at(n) + a.channel(c), to = b.at(n) + b.channel(c);
      for (std::int64_t y = 0; y < a.h; ++y) {
        for (std::int64_t x = 0; x < a.w; ++x) f(from + a.pixel(y, x), to + b.pixel(y, x));
      }
    }
  }

  Value& in_;
  Value& out_;
  Parameter& scale_;
  Parameter& shift_;
  ChannelSums by_scale_, by_shift_;
};

}  // namespace

std::unique_ptr<Step> make_binary(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Binary>(spec, resources);
}

std::unique_ptr<Step> make_affine(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Affine>(spec, resources);
}

}  // namespace polyadic

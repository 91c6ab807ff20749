// Operators that mix channels of a pixel or move them: softmax, local response normalisation, flatten, concat.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../core/dispatch.h"
#include "step.h"

namespace polyadic {
namespace {

// f(image, row, column) for each pixel of a layout, in parallel over images and rows.
template <class F>
void each_pixel(const Context& context, const Layout& layout, F&& f) {
  context.parallel(layout.n * layout.h, [&](std::int64_t index, int) {
    for (std::int64_t x = 0; x < layout.w; ++x) f(index / layout.h, index % layout.h, x);
  });
}

std::int64_t pixel_at(const Layout& layout, std::int64_t n, std::int64_t y, std::int64_t x) {
  return layout.at(n) + layout.pixel(y, x);
}

class Softmax : public Step {
 public:
  Softmax(const StepSpec& spec, StepResources resources)
      : logarithm_(spec.op == Op::log_softmax),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    each_pixel(context, in, [&](std::int64_t n, std::int64_t y, std::int64_t x) {
      const float* from = in_.data + pixel_at(in, n, y, x);
      float* to = out_.data + pixel_at(out, n, y, x);
      float largest = from[0];
      for (std::int64_t c = 1; c < in.c; ++c) largest = std::max(largest, from[in.channel(c)]);
      float sum = 0;
      for (std::int64_t c = 0; c < in.c; ++c) {
        const float e = std::exp(from[in.channel(c)] - largest);
        to[out.channel(c)] = e;
        sum += e;
      }
      const float log_sum = std::log(sum);
      for (std::int64_t c = 0; c < in.c; ++c) {
        float& value = to[out.channel(c)];
        value = logarithm_ ? from[in.channel(c)] - largest - log_sum : value / sum;
      }
    });
  }

  // softmax: dx = y·(dy − Σ dy·y); log-softmax: dx = dy − e^y·Σ dy
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& dx_layout = in_.grad_layout;
    const Layout& dy_layout = out_.grad_layout;
    const Layout& out = out_.layout;
    each_pixel(context, out, [&](std::int64_t n, std::int64_t y, std::int64_t x) {
      const float* value = out_.data + pixel_at(out, n, y, x);
      const float* dy = out_.grad + pixel_at(dy_layout, n, y, x);
      float* dx = in_.grad + pixel_at(dx_layout, n, y, x);
      double sum = 0;
      for (std::int64_t c = 0; c < out.c; ++c) {
        sum += static_cast<double>(dy[dy_layout.channel(c)]) *
               (logarithm_ ? 1.0 : static_cast<double>(value[out.channel(c)]));
      }
      for (std::int64_t c = 0; c < out.c; ++c) {
        const float v = value[out.channel(c)], d = dy[dy_layout.channel(c)];
        const float gradient =
            logarithm_ ? d - std::exp(v) * static_cast<float>(sum) : v * (d - static_cast<float>(sum));
        deposit(dx[dx_layout.channel(c)], gradient, accumulate[0]);
      }
    });
  }

 private:
  bool logarithm_;
  Value& in_;
  Value& out_;
};

// y_c = x_c / (bias + alpha/size · Σ_{c' in window(c)} x_c'²)^beta; windows as ONNX has them: from c − ⌊(size − 1)/2⌋
// to c + ⌈(size − 1)/2⌉.
class Lrn : public Step {
 public:
  Lrn(const StepSpec& spec, StepResources resources)
      : before_((spec.size - 1) / 2),
        after_(spec.size / 2),
        alpha_(spec.alpha / static_cast<float>(spec.size)),
        beta_(spec.beta),
        bias_(spec.bias),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  std::size_t scratch_floats() const override {
    const std::int64_t padded = in_.layout.blocks() * in_.layout.block + before_ + after_;
    return static_cast<std::size_t>(std::max(4 * in_.layout.c, padded)) + 64;
  }

  void forward(const Context& context) override {
    if (beta_ == 0.75f && in_.layout.block == kernels().f32.block && out_.layout.block == in_.layout.block)
      return forward_rows(context);
    each_row_of_pixels(context, [&](std::int64_t n, std::int64_t y, std::int64_t x, float* scratch) {
      const Rows rows = rows_of(scratch);
      read(in_.data, in_.layout, n, y, x, rows.x);
      scales(rows);
      float* to = out_.data + pixel_at(out_.layout, n, y, x);
      for (std::int64_t c = 0; c < in_.layout.c; ++c) to[out_.layout.channel(c)] = rows.x[c] * rows.power[c];
    });
  }

  // dx_c = dy_c·s_c^−β − 2αβ/size · x_c · Σ_{c' whose window holds c} dy_c'·x_c'·s_c'^(−β−1)
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const std::int64_t channels = in_.layout.c;
    each_row_of_pixels(context, [&](std::int64_t n, std::int64_t y, std::int64_t x, float* scratch) {
      const Rows rows = rows_of(scratch);
      read(in_.data, in_.layout, n, y, x, rows.x);
      scales(rows);
      read(out_.grad, out_.grad_layout, n, y, x, rows.dy);
      // rows.sum holds s; from here on dy·x·s^(−β−1).
      for (std::int64_t c = 0; c < channels; ++c) rows.sum[c] = rows.dy[c] * rows.x[c] * rows.power[c] / rows.sum[c];
      float* dx = in_.grad + pixel_at(in_.grad_layout, n, y, x);
      for (std::int64_t c = 0; c < channels; ++c) {
        float sum = 0;
        const std::int64_t last = std::min(channels - 1, c + before_);
        for (std::int64_t k = std::max<std::int64_t>(0, c - after_); k <= last; ++k) sum += rows.sum[k];
        const float gradient = rows.dy[c] * rows.power[c] - 2 * alpha_ * beta_ * rows.x[c] * sum;
        deposit(dx[in_.grad_layout.channel(c)], gradient, accumulate[0]);
      }
    });
  }

 private:
  void forward_rows(const Context& context) const {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    context.parallel(in.n * in.h, [&](std::int64_t index, int thread) {
      const std::int64_t n = index / in.h, y = index % in.h;
      kernels().row.lrn({in_.data + pixel_at(in, n, y, 0), out_.data + pixel_at(out, n, y, 0), in.plane(), out.plane(),
                         in.w, in.c, before_, after_, alpha_, bias_, context.scratch(thread)});
    });
  }

  struct Rows {
    float *x, *sum, *power, *dy;  // one float a channel: x, s, s^−β, dy
  };

  Rows rows_of(float* scratch) const {
    const std::int64_t c = in_.layout.c;
    return {scratch, scratch + c, scratch + 2 * c, scratch + 3 * c};
  }

  template <class F>
  void each_row_of_pixels(const Context& context, F&& f) const {
    const Layout& in = in_.layout;
    context.parallel(in.n * in.h, [&](std::int64_t index, int thread) {
      for (std::int64_t x = 0; x < in.w; ++x) f(index / in.h, index % in.h, x, context.scratch(thread));
    });
  }

  static void read(const float* data, const Layout& layout, std::int64_t n, std::int64_t y, std::int64_t x, float* to) {
    const float* from = data + pixel_at(layout, n, y, x);
    for (std::int64_t b = 0; b < layout.blocks(); ++b, from += layout.plane()) {
      const std::int64_t count = std::min<std::int64_t>(layout.block, layout.c - b * layout.block);
      for (std::int64_t l = 0; l < count; ++l) *to++ = from[l];
    }
  }

  void scales(const Rows& rows) const {
    const std::int64_t channels = in_.layout.c;
    for (std::int64_t c = 0; c < channels; ++c) rows.dy[c] = rows.x[c] * rows.x[c];
    for (std::int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      const std::int64_t last = std::min(channels - 1, c + after_);
      for (std::int64_t k = std::max<std::int64_t>(0, c - before_); k <= last; ++k) sum += rows.dy[k];
      rows.sum[c] = bias_ + alpha_ * sum;
    }
    if (beta_ == 0.75f) {  // the value everybody uses, in square roots
      for (std::int64_t c = 0; c < channels; ++c) {
        const float root = std::sqrt(rows.sum[c]);
        rows.power[c] = 1.0f / (root * std::sqrt(root));
      }
    } else {
      for (std::int64_t c = 0; c < channels; ++c) rows.power[c] = std::pow(rows.sum[c], -beta_);
    }
  }

  std::int64_t before_, after_;  // channels of a window on either side
  float alpha_, beta_, bias_;
  Value& in_;
  Value& out_;
};

class Flatten : public Step {
 public:
  Flatten(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    move(context, in_.layout, out_.layout, [&](std::int64_t in, std::int64_t out) { out_.data[out] = in_.data[in]; });
  }

  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    move(context, in_.grad_layout, out_.grad_layout,
         [&](std::int64_t in, std::int64_t out) { deposit(in_.grad[in], out_.grad[out], accumulate[0]); });
  }

 private:
  template <class F>
  static void move(const Context& context, const Layout& in, const Layout& out, F&& f) {
    context.parallel(in.n * in.c, [&](std::int64_t index, int) {
      const std::int64_t n = index / in.c, c = index % in.c;
      for (std::int64_t y = 0; y < in.h; ++y) {
        for (std::int64_t x = 0; x < in.w; ++x) {
          f(pixel_at(in, n, y, x) + in.channel(c), pixel_at(out, n, 0, 0) + out.channel((c * in.h + y) * in.w + x));
        }
      }
    });
  }

  Value& in_;
  Value& out_;
};

class Concat : public Step {
 public:
  Concat(const StepSpec& spec, StepResources resources)
      : out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    for (const int input : spec.inputs) inputs_.push_back(&resources.values[static_cast<std::size_t>(input)]);
  }

  void forward(const Context& context) override {
    std::int64_t first = 0;
    for (const Value* in : inputs_) {
      move(context, in->layout, out_.layout, first,
           [&](std::int64_t from, std::int64_t to) { out_.data[to] = in->data[from]; });
      first += in->layout.c;
    }
  }

  void backward(const Context& context) override {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      Value* in = inputs_[i];
      if (in->needs_grad) {
        move(context, in->grad_layout, out_.grad_layout, first,
             [&](std::int64_t to, std::int64_t from) { deposit(in->grad[to], out_.grad[from], accumulate[i]); });
      }
      first += in->layout.c;
    }
  }

 private:
  template <class F>
  static void move(const Context& context, const Layout& in, const Layout& out, std::int64_t first, F&& f) {
    context.parallel(in.n * in.c, [&](std::int64_t index, int) {
      const std::int64_t n = index / in.c, c = index % in.c;
      for (std::int64_t y = 0; y < in.h; ++y) {
        for (std::int64_t x = 0; x < in.w; ++x) {
          f(pixel_at(in, n, y, x) + in.channel(c), pixel_at(out, n, y, x) + out.channel(first + c));
        }
      }
    });
  }

  std::vector<Value*> inputs_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_softmax(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Softmax>(spec, resources);
}
std::unique_ptr<Step> make_lrn(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Lrn>(spec, resources);
}
std::unique_ptr<Step> make_flatten(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Flatten>(spec, resources);
}
std::unique_ptr<Step> make_concat(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Concat>(spec, resources);
}

}  // namespace polyadic

#include "activation.h"

#include "../core/dispatch.h"
#include "step.h"

namespace polyadic {
namespace {

using Kind = ActivationSpec::Kind;

template <class F>
void map(const float* x, float* y, std::int64_t count, F f) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
}

template <class F>
void map_gradient(const float* x, const float* y, const float* dy, float* dx, std::int64_t count, bool accumulate,
                  F slope) {
  if (accumulate) {
    for (std::int64_t i = 0; i < count; ++i) dx[i] += dy[i] * slope(x[i], y[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) dx[i] = dy[i] * slope(x[i], y[i]);
  }
}

// Vector functions take arrays: what becomes of a block of x in between lies on the stack.
constexpr std::int64_t kBlock = 256;

// before() makes of x what `function` is taken of, finish(x, that) what `y` is.
template <class Before, class Finish>
void map_by(MapFunction function, const float* x, float* y, std::int64_t count, Before before, Finish finish) {
  float block[kBlock];
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t part = std::min(kBlock, count - first);
    map(x + first, block, part, before);
    function(block, block, part);
    for (std::int64_t i = first; i < first + part; ++i) y[i] = finish(x[i], block[i - first]);
  }
}

// Likewise, of slope(x, that).
template <class Before, class Slope>
void map_gradient_by(MapFunction function, const float* x, const float* dy, float* dx, std::int64_t count,
                     bool accumulate, Before before, Slope slope) {
  float block[kBlock];
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t part = std::min(kBlock, count - first);
    map(x + first, block, part, before);
    function(block, block, part);
    map_gradient(x + first, block, dy + first, dx + first, part, accumulate, slope);
  }
}

// Of min and max the first argument stays where it is NaN.
float hard_sigmoid(float x, float alpha, float beta) { return std::min(std::max(alpha * x + beta, 0.0f), 1.0f); }

float elu(float x, float alpha) { return x < 0 ? alpha * std::expm1(x) : x; }

float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// Φ, the normal distribution's cumulative function, is ½·(1 + erf) of this.
float normal_argument(float x) { return x * 0.70710678f; }
float normal(float erf) { return 0.5f * (1.0f + erf); }

constexpr float kRoot = 0.79788456f;  // √(2/π)

// gelu_tanh is ½·x·(1 + tanh) of this.
float gelu_argument(float x) { return kRoot * (x + 0.044715f * x * x * x); }

// tanh(softplus(x)) = n / (n + 2) with n = e·(e + 2), e = e^x. From 20 on it is 1.
float mish_argument(float x) { return x > 20 ? 20.0f : x; }
float mish_factor(float e) {
  const float n = e * (e + 2.0f);
  return n / (n + 2.0f);
}

// Φ(x) + x·φ(x), φ being the density e^(−x²/2) / √(2π)
void gelu_gradient(const float* x, const float* dy, float* dx, std::int64_t count, bool accumulate) {
  const FunctionKernels& functions = kernels().functions;
  float cumulative[kBlock], density[kBlock];
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t part = std::min(kBlock, count - first);
    map(x + first, cumulative, part, normal_argument);
    functions.erf(cumulative, cumulative, part);
    map(x + first, density, part, [](float v) { return -0.5f * v * v; });
    functions.exp(density, density, part);
    for (std::int64_t i = 0; i < part; ++i) density[i] *= x[first + i] * 0.39894228f;
    map_gradient(cumulative, density, dy + first, dx + first, part, accumulate,
                 [](float erf, float rest) { return normal(erf) + rest; });
  }
}

}  // namespace

void apply_activation(const ActivationSpec& activation, const float* x, float* y, std::int64_t count) {
  const float alpha = activation.alpha, beta = activation.beta;
  const FunctionKernels& functions = kernels().functions;
  switch (activation.kind) {
    case Kind::none:
      return map(x, y, count, [](float v) { return v; });
    case Kind::relu:
      return map(x, y, count, [](float v) { return v < 0 ? 0.0f : v; });
    case Kind::leaky_relu:
      return map(x, y, count, [=](float v) { return v < 0 ? alpha * v : v; });
    case Kind::clip:
      return map(x, y, count, [=](float v) { return std::min(std::max(v, alpha), beta); });
    case Kind::sigmoid:
      return functions.sigmoid(x, y, count);
    case Kind::tanh:
      return functions.tanh(x, y, count);
    case Kind::hard_sigmoid:
      return map(x, y, count, [=](float v) { return hard_sigmoid(v, alpha, beta); });
    case Kind::hard_swish:
      return map(x, y, count, [=](float v) { return alpha * v * hard_sigmoid(v, 1.0f / 6, 0.5f); });
    case Kind::elu:
      return map(x, y, count, [=](float v) { return elu(v, alpha); });
    case Kind::selu:
      return map(x, y, count, [=](float v) { return beta * elu(v, alpha); });
    case Kind::softplus:
      return map(x, y, count, [](float v) { return softplus(v); });
    case Kind::swish:
      return map_by(
          functions.sigmoid, x, y, count, [=](float v) { return alpha * v; }, [](float v, float s) { return v * s; });
    case Kind::gelu:
      return map_by(functions.erf, x, y, count, normal_argument, [](float v, float e) { return v * normal(e); });
    case Kind::gelu_tanh:
      return map_by(functions.tanh, x, y, count, gelu_argument, [](float v, float t) { return 0.5f * v * (1.0f + t); });
    case Kind::mish:
      return map_by(functions.exp, x, y, count, mish_argument, [](float v, float e) { return v * mish_factor(e); });
    case Kind::softsign:
      return map(x, y, count, [](float v) { return v / (1.0f + std::abs(v)); });
    case Kind::thresholded_relu:
      return map(x, y, count, [=](float v) { return v > alpha ? v : 0.0f; });
    case Kind::affine:
      return map(x, y, count, [=](float v) { return alpha * v + beta; });
    case Kind::scaled_tanh:
      return map_by(
          functions.tanh, x, y, count, [=](float v) { return beta * v; }, [=](float, float t) { return alpha * t; });
  }
}

void activation_gradient(const ActivationSpec& activation, const float* x, const float* y, const float* dy, float* dx,
                         std::int64_t count, bool accumulate) {
  const float alpha = activation.alpha, beta = activation.beta;
  const FunctionKernels& functions = kernels().functions;
  const auto with = [&](auto slope) { map_gradient(x, y, dy, dx, count, accumulate, slope); };
  const auto with_function = [&](MapFunction function, auto before, auto slope) {
    map_gradient_by(function, x, dy, dx, count, accumulate, before, slope);
  };
  switch (activation.kind) {
    case Kind::none:
      return with([](float, float) { return 1.0f; });
    case Kind::relu:
      return kernels().training.relu_gradient(y, dy, dx, count, 0.0f, accumulate);
    case Kind::leaky_relu:
      return with([=](float v, float) { return v < 0 ? alpha : 1.0f; });
    case Kind::clip:
      return with([=](float v, float) { return v > alpha && v < beta ? 1.0f : 0.0f; });
    case Kind::sigmoid:
      return with([](float, float v) { return v * (1.0f - v); });
    case Kind::tanh:
      return with([](float, float v) { return 1.0f - v * v; });
    case Kind::hard_sigmoid:
      return with([=](float, float v) { return v > 0 && v < 1 ? alpha : 0.0f; });
    case Kind::hard_swish:
      return with([=](float v, float) { return alpha * (v <= -3 ? 0.0f : v >= 3 ? 1.0f : v / 3 + 0.5f); });
    case Kind::elu:
      return with([=](float v, float result) { return v < 0 ? result + alpha : 1.0f; });
    case Kind::selu:
      return with([=](float v, float result) { return v < 0 ? result + alpha * beta : beta; });
    case Kind::softplus:
      return with_function(
          functions.sigmoid, [](float v) { return v; }, [](float, float s) { return s; });
    case Kind::swish:
      return with_function(
          functions.sigmoid, [=](float v) { return alpha * v; },
          [=](float v, float s) { return s + alpha * v * s * (1 - s); });
    case Kind::gelu:
      return gelu_gradient(x, dy, dx, count, accumulate);
    case Kind::gelu_tanh:
      return with_function(functions.tanh, gelu_argument, [](float v, float t) {
        return 0.5f * (1 + t) + 0.5f * v * (1 - t * t) * kRoot * (1 + 3 * 0.044715f * v * v);
      });
    case Kind::mish:
      return with_function(functions.exp, mish_argument, [](float v, float e) {
        const float t = mish_factor(e);
        return t + v * (1 - t * t) * (e / (1 + e));  // the last one is the sigmoid
      });
    case Kind::softsign:
      return with([](float v, float) {
        const float scale = 1 / (1 + std::abs(v));
        return scale * scale;
      });
    case Kind::thresholded_relu:
      return with([=](float v, float) { return v > alpha ? 1.0f : 0.0f; });
    case Kind::affine:
      return with([=](float, float) { return alpha; });
    case Kind::scaled_tanh:
      return with_function(
          functions.tanh, [=](float v) { return beta * v; },
          [=](float, float t) { return alpha * beta * (1 - t * t); });
  }
}

namespace {

class Activation : public Step {
 public:
  Activation(const StepSpec& spec, StepResources resources)
      : activation_(spec.activation),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    if (is_row(in_.layout) && out_.layout.block == 1) {
      return each_part(context, [&](std::int64_t first, std::int64_t count) {
        apply_activation(activation_, in_.data + first, out_.data + out_.layout.at(0) + first, count);
      });
    }
    each_row(context, in_.layout, out_.layout, [&](std::int64_t in, std::int64_t out, std::int64_t count) {
      apply_activation(activation_, in_.data + in, out_.data + out, count);
    });
  }

  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    if (is_row(in_.layout) && is_row(in_.grad_layout)) {
      return each_part(context, [&](std::int64_t first, std::int64_t count) {
        activation_gradient(activation_, in_.data + first, out_.data + first, out_.grad + first, in_.grad + first,
                            count, accumulate[0]);
      });
    }
    const std::int64_t blocks = in_.layout.blocks();
    context.parallel(in_.layout.n * blocks, [&](std::int64_t index, int) {
      const auto start = [&](const Layout& l) { return l.at(index / blocks, index % blocks); };
      const float* x = in_.data + start(in_.layout);
      const float* y = out_.data + start(out_.layout);
      const float* dy = out_.grad + start(out_.grad_layout);
      float* dx = in_.grad + start(in_.grad_layout);
      for (std::int64_t row = 0; row < in_.layout.h; ++row) {
        activation_gradient(activation_, x, y, dy, dx, in_.layout.w * in_.layout.block, accumulate[0]);
        x += in_.layout.row();
        y += out_.layout.row();
        dy += out_.grad_layout.row();
        dx += in_.grad_layout.row();
      }
    });
  }

 private:
  // One long row: a dense value.
  static bool is_row(const Layout& layout) { return layout.block == 1 && layout.size() == layout.w; }

  // f(first, count) for each part of a row.
  template <class F>
  void each_part(const Context& context, F&& f) const {
    constexpr std::int64_t kPart = 1 << 13;
    const std::int64_t size = in_.layout.size();
    context.parallel((size + kPart - 1) / kPart,
                     [&](std::int64_t part, int) { f(part * kPart, std::min(kPart, size - part * kPart)); });
  }

  ActivationSpec activation_;
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_activation(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Activation>(spec, resources);
}

}  // namespace polyadic

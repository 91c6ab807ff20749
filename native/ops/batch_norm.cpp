// Batch normalisation in training: y = scale·(x − mean)/√(variance + ε) + bias by channel, with the batch's statistics
// or frozen running ones, and with a sum and relu after it. Inference folds it into its neighbours instead.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "../core/dispatch.h"
#include "../core/status.h"
#include "batch_sums.h"
#include "step.h"

namespace polyadic {
namespace {

using Lanes = std::array<float, 16>;

class BatchNorm : public Step {
 public:
  BatchNorm(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        residual_(spec.residual < 0 ? nullptr : &resources.values[static_cast<std::size_t>(spec.residual)]),
        relu_(spec.activation.kind == ActivationSpec::Kind::relu),
        scale_(resources.parameters[static_cast<std::size_t>(spec.scale)]),
        bias_(resources.parameters[static_cast<std::size_t>(spec.shift)]),
        mean_(resources.parameters[static_cast<std::size_t>(spec.mean)]),
        variance_(resources.parameters[static_cast<std::size_t>(spec.variance)]),
        epsilon_(spec.epsilon),
        momentum_(spec.momentum),
        batch_(spec.batch_statistics) {
    const std::size_t channels = static_cast<std::size_t>(in_.layout.c);
    for (const Parameter* parameter : {&scale_, &bias_, &mean_, &variance_}) {
      if (parameter->data.size() != channels) throw Error(ErrorCode::shape, "batch_norm: one value a channel expected");
    }
    const std::size_t blocks = static_cast<std::size_t>(in_.layout.blocks());
    batch_mean_.resize(blocks);
    batch_variance_.resize(blocks);
    by_scale_ = by_bias_ = ChannelSums(in_.layout.blocks() * in_.layout.block);
    if (batch_) mean_.statistics = variance_.statistics = true;
  }

  void forward(const Context& context) override {
    noted_ = batch_ && context.training();
    const TrainingKernels& kernel = kernels().training;
    context.parallel(in_.layout.blocks(), [&](std::int64_t b, int) {
      Lanes& mean = batch_mean_[static_cast<std::size_t>(b)];
      Lanes& variance = batch_variance_[static_cast<std::size_t>(b)];
      if (noted_) {
        measure(b, mean, variance);
      } else {
        mean = lanes_of(mean_.data, b, 0.0f);
        variance = lanes_of(variance_.data, b, 1.0f);
      }
      const Lanes scale = lanes_of(scale_.data, b, 0.0f), bias = lanes_of(bias_.data, b, 0.0f);
      Lanes factor{}, shift{};
      for (std::size_t l = 0; l < factor.size(); ++l) {
        factor[l] = scale[l] * inverse(variance[l]);
        shift[l] = bias[l] - mean[l] * factor[l];
      }
      each_row_of(b, [&](std::int64_t n, std::int64_t y) {
        const float* other = residual_ ? residual_->data + at(residual_->layout, n, b, y) : nullptr;
        kernel.scale_rows(in_.data + at(in_.layout, n, b, y), other, out_.data + at(out_.layout, n, b, y), in_.layout.w,
                          factor.data(), shift.data(), relu_);
      });
    });
  }

  // With x̂ = (x − mean)/σ and m values a channel: d scale = Σ dy·x̂, d bias = Σ dy,
  // dx = scale/σ · (dy − Σ dy/m − x̂·Σ dy·x̂/m) for the batch's statistics, scale/σ · dy for running ones.
  void backward(const Context& context) override {
    const TrainingKernels& kernel = kernels().training;
    const double count = static_cast<double>(in_.layout.n * in_.layout.h * in_.layout.w);
    context.parallel(in_.layout.blocks(), [&](std::int64_t b, int) {
      const Lanes& mean = batch_mean_[static_cast<std::size_t>(b)];
      const Lanes& variance = batch_variance_[static_cast<std::size_t>(b)];
      const Lanes scale = lanes_of(scale_.data, b, 0.0f);
      const std::size_t block = static_cast<std::size_t>(in_.layout.block);
      double* by_bias = by_bias_.from(context, b * in_.layout.block, in_.layout.block);
      double* by_scale = by_scale_.from(context, b * in_.layout.block, in_.layout.block);
      Lanes of_dy{}, of_x{}, constant{};
      for (std::size_t l = 0; l < of_dy.size(); ++l) of_dy[l] = scale[l] * inverse(variance[l]);
      const auto to_input = [&](std::int64_t n, std::int64_t y) {
        kernel.combine_rows(in_.data + at(in_.layout, n, b, y), out_.grad + at(out_.grad_layout, n, b, y),
                            in_.grad + at(in_.grad_layout, n, b, y), in_.layout.w, of_dy.data(), of_x.data(),
                            constant.data(), accumulate[0]);
      };
      each_row_of(b, [&](std::int64_t n, std::int64_t y) {
        float* dy = out_.grad + at(out_.grad_layout, n, b, y);
        Lanes sums{}, products{};
        if (relu_) kernel.relu_rows(out_.data + at(out_.layout, n, b, y), dy, in_.layout.w, 0.0f, sums.data());
        if (residual_ && residual_->needs_grad) {
          kernel.deposit(dy, residual_->grad + at(residual_->grad_layout, n, b, y), in_.layout.w * in_.layout.block,
                         accumulate_residual);
        }
        sums.fill(0);
        kernel.products(in_.data + at(in_.layout, n, b, y), dy, in_.layout.w, mean.data(), sums.data(),
                        products.data());
        for (std::size_t l = 0; l < block; ++l) {
          by_bias[l] += static_cast<double>(sums[l]);
          by_scale[l] += static_cast<double>(products[l]);
        }
        // Running statistics do not depend on x: what goes to the input is known row by row.
        if (!noted_ && in_.needs_grad) to_input(n, y);
      });
      if (!context.last_slice()) return;
      for (std::size_t l = 0; l < block; ++l) {
        const double sigma = static_cast<double>(inverse(variance[l]));
        by_scale[l] *= sigma;
        const double factor = static_cast<double>(of_dy[l]);
        of_x[l] = static_cast<float>(-factor * by_scale[l] * sigma / count);
        constant[l] = static_cast<float>(-factor * by_bias[l] / count) - of_x[l] * mean[l];
      }
      deposit_lanes(scale_, by_scale, b);
      deposit_lanes(bias_, by_bias, b);
      if (noted_ && in_.needs_grad) each_row_of(b, to_input);
    });
  }

  // running ← momentum·running + (1 − momentum)·batch; the variance unbiased, as PyTorch's.
  void commit() override {
    if (!noted_) return;
    const double count = static_cast<double>(in_.layout.n * in_.layout.h * in_.layout.w);
    const float unbiased = static_cast<float>(count > 1 ? count / (count - 1) : 1.0);
    const std::size_t block = static_cast<std::size_t>(in_.layout.block);
    for (std::size_t c = 0; c < mean_.data.size(); ++c) {
      const float mean = batch_mean_[c / block][c % block], variance = batch_variance_[c / block][c % block];
      mean_.data[c] = momentum_ * mean_.data[c] + (1 - momentum_) * mean;
      variance_.data[c] = momentum_ * variance_.data[c] + (1 - momentum_) * unbiased * variance;
    }
  }

  std::string kernel() const override { return batch_ ? "batch statistics" : "running statistics"; }

 private:
  float inverse(float variance) const { return 1.0f / std::sqrt(variance + epsilon_); }

  static std::int64_t at(const Layout& l, std::int64_t n, std::int64_t block, std::int64_t y) {
    return l.at(n, block) + y * l.row();
  }

  template <class F>
  void each_row_of(std::int64_t, F&& f) const {
    for (std::int64_t n = 0; n < in_.layout.n; ++n) {
      for (std::int64_t y = 0; y < in_.layout.h; ++y) f(n, y);
    }
  }

  Lanes lanes_of(const Buffer& values, std::int64_t b, float otherwise) const {
    Lanes lanes;
    lanes.fill(otherwise);
    const std::int64_t block = in_.layout.block;
    for (std::int64_t c = b * block; c < std::min((b + 1) * block, in_.layout.c); ++c)
      lanes[static_cast<std::size_t>(c - b * block)] = values[static_cast<std::size_t>(c)];
    return lanes;
  }

  void deposit_lanes(Parameter& parameter, const double* lanes, std::int64_t b) const {
    if (!parameter.trainable) return;
    const std::int64_t block = in_.layout.block;
    for (std::int64_t c = b * block; c < std::min((b + 1) * block, in_.layout.c); ++c)
      parameter.grad[static_cast<std::size_t>(c)] += static_cast<float>(lanes[c - b * block]);
  }

  // In two passes: the sum of squares minus the square of the sum would cancel.
  void measure(std::int64_t b, Lanes& mean, Lanes& variance) const {
    const TrainingKernels& kernel = kernels().training;
    const double count = static_cast<double>(in_.layout.n * in_.layout.h * in_.layout.w);
    const auto pass = [&](const Lanes& centre, std::array<double, 16>& first, std::array<double, 16>& second) {
      each_row_of(b, [&](std::int64_t n, std::int64_t y) {
        Lanes sums{}, squares{};
        kernel.moments(in_.data + at(in_.layout, n, b, y), in_.layout.w, centre.data(), sums.data(), squares.data());
        for (std::size_t l = 0; l < sums.size(); ++l) {
          first[l] += static_cast<double>(sums[l]);
          second[l] += static_cast<double>(squares[l]);
        }
      });
    };
    std::array<double, 16> sums{}, squares{}, rest{};
    pass(Lanes{}, sums, squares);
    for (std::size_t l = 0; l < mean.size(); ++l) mean[l] = static_cast<float>(sums[l] / count);
    squares.fill(0);
    pass(mean, rest, squares);
    for (std::size_t l = 0; l < mean.size(); ++l) {
      const double off = rest[l] / count;
      variance[l] = static_cast<float>(std::max(0.0, squares[l] / count - off * off));
    }
  }

  Value& in_;
  Value& out_;
  Value* residual_;
  bool relu_;
  Parameter& scale_;
  Parameter& bias_;
  Parameter& mean_;
  Parameter& variance_;
  float epsilon_, momentum_;
  bool batch_;
  bool noted_ = false;  // whether the last forward pass measured the batch
  std::vector<Lanes> batch_mean_, batch_variance_;
  ChannelSums by_scale_, by_bias_;
};

}  // namespace

std::unique_ptr<Step> make_batch_norm(const StepSpec& spec, StepResources resources) {
  return std::make_unique<BatchNorm>(spec, resources);
}

}  // namespace polyadic

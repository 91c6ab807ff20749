#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "../core/status.h"

namespace polyadic {

Trainer::Trainer(PlanSpec spec) : plan_(std::move(spec)) {
  const Layout& logits = plan_.output(0).layout;
  if (logits.h != 1 || logits.w != 1) throw Error(ErrorCode::shape, "trainer: expected logits of shape N×K");
  if (!plan_.output(0).needs_grad)
    throw Error(ErrorCode::argument, "trainer: no trainable parameter leads to the logits");
}

// Softmax cross-entropy with smoothed targets, −Σ_k q_k log p_k with q = (1 − s)·onehot + s/K; its gradient with
// respect to the logits is (p − q)/N.
StepResult Trainer::loss(const std::int32_t* target, std::int64_t count, float label_smoothing, bool with_gradient) {
  Value& out = plan_.output(0);
  const Layout& layout = out.layout;
  const std::int64_t classes = layout.c;
  StepResult result;
  for (std::int64_t n = 0; n < count; ++n) {
    const float* logits = out.data + layout.at(n);
    if (target[n] < 0 || target[n] >= classes) {
      throw Error(ErrorCode::argument, "target[" + std::to_string(n) + "]: expected a class from 0 to " +
                                           std::to_string(classes - 1) + ", got " + std::to_string(target[n]));
    }
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c) {
      if (logits[layout.channel(c)] > logits[layout.channel(best)]) best = c;
    }
    const double largest = static_cast<double>(logits[layout.channel(best)]);
    double sum = 0, mean_logit = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
      const double logit = static_cast<double>(logits[layout.channel(c)]);
      sum += std::exp(logit - largest);
      mean_logit += logit / static_cast<double>(classes);
    }
    const double log_sum = largest + std::log(sum);
    const double smoothing = static_cast<double>(label_smoothing);
    result.loss +=
        log_sum - (1 - smoothing) * static_cast<double>(logits[layout.channel(target[n])]) - smoothing * mean_logit;
    result.correct += best == target[n];
    if (!with_gradient) continue;
    float* grad = out.grad + out.grad_layout.at(n);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double p = std::exp(static_cast<double>(logits[layout.channel(c)]) - log_sum);
      const double q = (c == target[n] ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
      grad[out.grad_layout.channel(c)] = static_cast<float>((p - q) / static_cast<double>(count));
    }
  }
  result.loss /= static_cast<double>(count);
  return result;
}

double Trainer::gradient_norm() {
  double sum = 0;
  for (const Parameter& parameter : plan_.parameters()) {
    for (std::size_t i = 0; i < parameter.grad.size(); ++i) {
      sum += static_cast<double>(parameter.grad[i]) * static_cast<double>(parameter.grad[i]);
    }
  }
  return std::sqrt(sum);
}

void Trainer::update(const Sgd& sgd, float scale) {
  constexpr std::size_t kSlice = 1 << 15;
  std::vector<Parameter>& parameters = plan_.parameters();
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    Parameter& parameter = parameters[index];
    const float rate = sgd.learning_rate * sgd.rate_scale[index], decay = sgd.weight_decay[index],
                momentum = sgd.momentum;
    if (!parameter.trainable || sgd.rate_scale[index] == 0.0f) continue;
    const std::size_t count = parameter.data.size();
    plan_.context().parallel(static_cast<std::int64_t>((count + kSlice - 1) / kSlice), [&](std::int64_t slice, int) {
      const std::size_t begin = static_cast<std::size_t>(slice) * kSlice;
      const std::size_t length = std::min(count - begin, kSlice);
      float* w = parameter.data.data() + begin;
      float* v = parameter.momentum.data() + begin;
      const float* grad = parameter.grad.data() + begin;
      for (std::size_t i = 0; i < length; ++i) {
        const float g = grad[i] * scale + decay * w[i];
        v[i] = momentum * v[i] + g;
        w[i] -= rate * (sgd.nesterov ? g + momentum * v[i] : v[i]);
      }
    });
  }
  plan_.weights_changed();
}

StepResult Trainer::gradients(const std::vector<const float*>& inputs, const std::int32_t* target,
                              float label_smoothing, const JobControl* control) {
  plan_.forward(inputs, control);
  StepResult result = loss(target, plan_.output(0).layout.n, label_smoothing, true);
  plan_.zero_gradients();
  plan_.backward(control);
  if (control) control->check();
  result.gradient_norm = gradient_norm();
  return result;
}

StepResult Trainer::step(const std::vector<const float*>& inputs, const std::int32_t* target, float label_smoothing,
                         const Sgd& sgd, const JobControl* control) {
  const StepResult result = gradients(inputs, target, label_smoothing, control);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) return result;
  // An update is short and must be whole: it does not listen to cancellation.
  plan_.context().attach(nullptr);
  const double clip = static_cast<double>(sgd.clip_norm);
  update(sgd, clip > 0 && result.gradient_norm > clip ? static_cast<float>(clip / result.gradient_norm) : 1.0f);
  return result;
}

StepResult Trainer::evaluate(const std::vector<const float*>& inputs, const std::int32_t* target, std::int64_t count,
                             const JobControl* control) {
  plan_.forward(inputs, control);
  return loss(target, std::clamp<std::int64_t>(count, 1, plan_.output(0).layout.n), 0, false);
}

}  // namespace polyadic

#include "loss.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "../core/status.h"

namespace polyadic {
namespace {

// log Σ exp(z·scale) and the index of the largest, of logits that are read by f(class).
struct LogSum {
  double value;
  std::int64_t best;
};

template <class F>
LogSum log_sum(std::int64_t classes, double scale, F&& f) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < classes; ++c) {
    if (f(c) > f(best)) best = c;
  }
  const double largest = f(best) * scale;
  double sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(f(c) * scale - largest);
  return {largest + std::log(sum), best};
}

LossResult cross_entropy(const Loss& loss, Value& out, std::int64_t count, bool with_gradient) {
  const Layout& layout = out.layout;
  const std::int64_t classes = layout.c;
  const double smoothing = static_cast<double>(loss.smoothing), weight = static_cast<double>(loss.weight);
  LossResult result;
  result.counts = true;
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int32_t target = loss.classes[static_cast<std::size_t>(n)];
    if (target < 0 || target >= classes) {
      throw Error(ErrorCode::argument, "target[" + std::to_string(n) + "]: expected a class from 0 to " +
                                           std::to_string(classes - 1) + ", got " + std::to_string(target));
    }
    const float* logits = out.data + layout.at(n);
    const auto logit = [&](std::int64_t c) { return static_cast<double>(logits[layout.channel(c)]); };
    const LogSum sum = log_sum(classes, 1.0, logit);
    double mean = 0;
    for (std::int64_t c = 0; c < classes; ++c) mean += logit(c) / static_cast<double>(classes);
    result.loss += sum.value - (1 - smoothing) * logit(target) - smoothing * mean;
    result.correct += sum.best == target;
    if (!with_gradient) continue;
    float* grad = out.grad + out.grad_layout.at(n);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double p = std::exp(logit(c) - sum.value);
      const double q = (c == target ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
      grad[out.grad_layout.channel(c)] += static_cast<float>(weight * (p - q) / static_cast<double>(count));
    }
  }
  result.loss *= weight / static_cast<double>(count);
  return result;
}

LossResult distillation(const Loss& loss, Value& out, std::int64_t count, bool with_gradient) {
  const Layout& layout = out.layout;
  const std::int64_t classes = layout.c;
  const double temperature = static_cast<double>(loss.temperature), weight = static_cast<double>(loss.weight);
  LossResult result;
  result.counts = true;
  for (std::int64_t n = 0; n < count; ++n) {
    const float* logits = out.data + layout.at(n);
    const float* teacher = loss.values + n * classes;
    const auto own = [&](std::int64_t c) { return static_cast<double>(logits[layout.channel(c)]); };
    const auto theirs = [&](std::int64_t c) { return static_cast<double>(teacher[c]); };
    const LogSum q = log_sum(classes, 1 / temperature, own), p = log_sum(classes, 1 / temperature, theirs);
    result.correct += q.best == p.best;
    float* grad = with_gradient ? out.grad + out.grad_layout.at(n) : nullptr;
    for (std::int64_t c = 0; c < classes; ++c) {
      const double log_q = own(c) / temperature - q.value, log_p = theirs(c) / temperature - p.value;
      result.loss += std::exp(log_p) * (log_p - log_q);
      if (!grad) continue;
      const double slope = temperature * (std::exp(log_q) - std::exp(log_p)) / static_cast<double>(count);
      grad[out.grad_layout.channel(c)] += static_cast<float>(weight * slope);
    }
  }
  result.loss *= weight * temperature * temperature / static_cast<double>(count);
  return result;
}

LossResult mean_squared(const Loss& loss, Value& out, std::int64_t count, bool with_gradient) {
  const Layout& layout = out.layout;
  const std::int64_t area = layout.h * layout.w, size = layout.c * area;
  const double elements = static_cast<double>(count * size), weight = static_cast<double>(loss.weight);
  const float factor = static_cast<float>(2 * weight / elements);
  LossResult result;
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int64_t c = 0; c < layout.c; ++c) {
      const float* target = loss.values + n * size + c * area;
      const float* from = out.data + layout.at(n) + layout.channel(c);
      float* grad = with_gradient ? out.grad + out.grad_layout.at(n) + out.grad_layout.channel(c) : nullptr;
      for (std::int64_t i = 0; i < area; ++i) {
        const std::int64_t y = i / layout.w, x = i % layout.w;
        const float difference = from[layout.pixel(y, x)] - target[i];
        result.loss += static_cast<double>(difference) * static_cast<double>(difference);
        if (grad) grad[out.grad_layout.pixel(y, x)] += factor * difference;
      }
    }
  }
  result.loss *= weight / elements;
  return result;
}

}  // namespace

LossResult evaluate_loss(const Loss& loss, Value& value, std::int64_t count, bool with_gradient) {
  if (with_gradient && !value.needs_grad) with_gradient = false;  // an output that no trainable parameter leads to
  const bool is_matrix = value.layout.h == 1 && value.layout.w == 1;
  if (loss.kind != Loss::Kind::mean_squared && !is_matrix)
    throw Error(ErrorCode::shape, "loss: expected logits of shape N×K");
  switch (loss.kind) {
    case Loss::Kind::cross_entropy:
      return cross_entropy(loss, value, count, with_gradient);
    case Loss::Kind::distillation:
      return distillation(loss, value, count, with_gradient);
    case Loss::Kind::mean_squared:
      break;
  }
  return mean_squared(loss, value, count, with_gradient);
}

}  // namespace polyadic

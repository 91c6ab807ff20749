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

void cross_entropy(const Loss& loss, Value& out, const LossSlice& slice, bool with_gradient, LossSum& result) {
  const Layout& layout = out.layout;
  const std::int64_t classes = layout.c;
  const double smoothing = static_cast<double>(loss.smoothing), weight = static_cast<double>(loss.weight);
  for (std::int64_t n = 0; n < slice.examples; ++n) {
    const std::int64_t example = slice.first + n;
    const std::int32_t target = loss.classes[static_cast<std::size_t>(example)];
    if (target < 0 || target >= classes) {
      throw Error(ErrorCode::argument, "target[" + std::to_string(example) + "]: expected a class from 0 to " +
                                           std::to_string(classes - 1) + ", got " + std::to_string(target));
    }
    const float* logits = out.data + layout.at(n);
    const auto logit = [&](std::int64_t c) { return static_cast<double>(logits[layout.channel(c)]); };
    const LogSum sum = log_sum(classes, 1.0, logit);
    double mean = 0;
    for (std::int64_t c = 0; c < classes; ++c) mean += logit(c) / static_cast<double>(classes);
    result.sum += sum.value - (1 - smoothing) * logit(target) - smoothing * mean;
    result.correct += sum.best == target;
    if (!with_gradient) continue;
    float* grad = out.grad + out.grad_layout.at(n);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double p = std::exp(logit(c) - sum.value);
      const double q = (c == target ? 1 - smoothing : 0) + smoothing / static_cast<double>(classes);
      grad[out.grad_layout.channel(c)] += static_cast<float>(weight * (p - q) / static_cast<double>(slice.count));
    }
  }
}

void distillation(const Loss& loss, Value& out, const LossSlice& slice, bool with_gradient, LossSum& result) {
  const Layout& layout = out.layout;
  const std::int64_t classes = layout.c;
  const double temperature = static_cast<double>(loss.temperature), weight = static_cast<double>(loss.weight);
  for (std::int64_t n = 0; n < slice.examples; ++n) {
    const float* logits = out.data + layout.at(n);
    const float* teacher = loss.values + (slice.first + n) * classes;
    const auto own = [&](std::int64_t c) { return static_cast<double>(logits[layout.channel(c)]); };
    const auto theirs = [&](std::int64_t c) { return static_cast<double>(teacher[c]); };
    const LogSum q = log_sum(classes, 1 / temperature, own), p = log_sum(classes, 1 / temperature, theirs);
    result.correct += q.best == p.best;
    float* grad = with_gradient ? out.grad + out.grad_layout.at(n) : nullptr;
    for (std::int64_t c = 0; c < classes; ++c) {
      const double log_q = own(c) / temperature - q.value, log_p = theirs(c) / temperature - p.value;
      result.sum += std::exp(log_p) * (log_p - log_q);
      if (!grad) continue;
      const double slope = temperature * (std::exp(log_q) - std::exp(log_p)) / static_cast<double>(slice.count);
      grad[out.grad_layout.channel(c)] += static_cast<float>(weight * slope);
    }
  }
}

std::int64_t elements_of(const Value& out) { return out.layout.c * out.layout.h * out.layout.w; }

void mean_squared(const Loss& loss, Value& out, const LossSlice& slice, bool with_gradient, LossSum& result) {
  const Layout& layout = out.layout;
  const std::int64_t area = layout.h * layout.w, size = elements_of(out);
  const double elements = static_cast<double>(slice.count * size), weight = static_cast<double>(loss.weight);
  const float factor = static_cast<float>(2 * weight / elements);
  for (std::int64_t n = 0; n < slice.examples; ++n) {
    for (std::int64_t c = 0; c < layout.c; ++c) {
      const float* target = loss.values + (slice.first + n) * size + c * area;
      const float* from = out.data + layout.at(n) + layout.channel(c);
      float* grad = with_gradient ? out.grad + out.grad_layout.at(n) + out.grad_layout.channel(c) : nullptr;
      for (std::int64_t i = 0; i < area; ++i) {
        const std::int64_t y = i / layout.w, x = i % layout.w;
        const float difference = from[layout.pixel(y, x)] - target[i];
        result.sum += static_cast<double>(difference) * static_cast<double>(difference);
        if (grad) grad[out.grad_layout.pixel(y, x)] += factor * difference;
      }
    }
  }
}

}  // namespace

void add_loss(const Loss& loss, Value& value, const LossSlice& slice, bool with_gradient, LossSum& sum) {
  if (with_gradient && !value.needs_grad) with_gradient = false;  // an output that no trainable parameter leads to
  const bool is_matrix = value.layout.h == 1 && value.layout.w == 1;
  if (loss.kind != Loss::Kind::mean_squared && !is_matrix)
    throw Error(ErrorCode::shape, "loss: expected logits of shape N×K");
  switch (loss.kind) {
    case Loss::Kind::cross_entropy:
      return cross_entropy(loss, value, slice, with_gradient, sum);
    case Loss::Kind::distillation:
      return distillation(loss, value, slice, with_gradient, sum);
    case Loss::Kind::mean_squared:
      break;
  }
  mean_squared(loss, value, slice, with_gradient, sum);
}

double loss_of(const Loss& loss, const LossSum& sum, const Value& value, std::int64_t count) {
  const double weight = static_cast<double>(loss.weight), temperature = static_cast<double>(loss.temperature);
  const double examples = static_cast<double>(count);
  switch (loss.kind) {
    case Loss::Kind::cross_entropy:
      return sum.sum * (weight / examples);
    case Loss::Kind::distillation:
      return sum.sum * (weight * temperature * temperature / examples);
    case Loss::Kind::mean_squared:
      break;
  }
  return sum.sum * (weight / static_cast<double>(count * elements_of(value)));
}

}  // namespace polyadic

#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "../core/dispatch.h"
#include "../core/status.h"
#include "../ops/gather.h"

namespace polyadic {
namespace {

// Elements of a parameter that a job takes.
constexpr std::size_t kPart = 1 << 15;

std::int64_t parts_of(std::size_t count) { return static_cast<std::int64_t>((count + kPart - 1) / kPart); }

const Buffer& buffer_of(const Parameter& parameter, Trainer::What what) {
  switch (what) {
    case Trainer::What::weights:
      return parameter.data;
    case Trainer::What::first:
      return parameter.first;
    case Trainer::What::second:
      return parameter.second;
    case Trainer::What::average:
      return parameter.average;
    case Trainer::What::gradient:
      break;
  }
  return parameter.grad;
}

}  // namespace

Trainer::Trainer(PlanSpec spec, std::vector<SensitivitySpec> sensitivities) : plan_(std::move(spec)) {
  if (!plan_.output(0).needs_grad)
    throw Error(ErrorCode::argument, "trainer: no trainable parameter leads to the output");
  for (SensitivitySpec& sensitivity : sensitivities)
    sensitivities_.emplace_back(std::move(sensitivity), plan_.parameters());
}

StepResult Trainer::pass(const std::vector<const float*>& inputs, const std::vector<Loss>& losses, std::int64_t count,
                         bool with_gradient, const JobControl* control) {
  const std::size_t outputs = plan_.spec().outputs.size();
  for (const Loss& loss : losses) {
    if (loss.output >= outputs) throw Error(ErrorCode::argument, "loss: unknown output");
    // Examples are counted by output 0.
    if (plan_.examples(loss.output) != plan_.examples(0))
      throw Error(ErrorCode::shape, "loss: output " + std::to_string(loss.output) + " has " +
                                        std::to_string(plan_.examples(loss.output)) + " rows, output 0 " +
                                        std::to_string(plan_.examples(0)));
  }
  std::vector<LossSum> sums(losses.size());
  const std::int64_t images = plan_.output(0).layout.n;
  for (std::int64_t first = 0; first < count; first += images) {
    plan_.forward(inputs, first, control);
    for (std::size_t i = 0; with_gradient && i < outputs; ++i) {
      const Value& value = plan_.output(i);
      if (value.needs_grad) std::fill(value.grad, value.grad + value.grad_layout.size(), 0.0f);
    }
    const LossSlice slice{first, std::min(count - first, images), count};
    for (std::size_t i = 0; i < losses.size(); ++i)
      add_loss(losses[i], plan_.output(losses[i].output), slice, with_gradient, sums[i]);
    if (with_gradient) plan_.backward(control);
  }
  StepResult result;
  bool counted = false;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    result.loss += loss_of(losses[i], sums[i], plan_.output(losses[i].output), count);
    if (!counts_correct(losses[i]) || counted) continue;
    result.correct = sums[i].correct;
    counted = true;
  }
  return result;
}

double Trainer::gradient_norm() {
  double sum = 0;
  for (const Parameter& parameter : plan_.parameters()) {
    if (!parameter.trainable) continue;
    std::vector<double> parts(static_cast<std::size_t>(parts_of(parameter.grad.size())));
    plan_.context().parallel(static_cast<std::int64_t>(parts.size()), [&](std::int64_t part, int) {
      const std::size_t begin = static_cast<std::size_t>(part) * kPart;
      parts[static_cast<std::size_t>(part)] = kernels().training.square_sum(
          parameter.grad.data() + begin, static_cast<std::int64_t>(std::min(kPart, parameter.grad.size() - begin)));
    });
    for (const double part : parts) sum += part;
  }
  return std::sqrt(sum);
}

bool Trainer::is_moved(std::size_t index, const Optimiser& optimiser) const {
  return plan_.parameters()[index].trainable && optimiser.rate_scale[index] != 0.0f;
}

// Memory that may be wanting is wanting before anything has moved.
void Trainer::prepare_update(const Optimiser& optimiser) {
  std::vector<Parameter>& parameters = plan_.parameters();
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    Parameter& parameter = parameters[index];
    const bool moves = is_moved(index, optimiser);
    const std::size_t count = parameter.data.size();
    if (moves && parameter.first.size() == 0) parameter.first = Buffer(count);
    if (moves && optimiser.kind == Optimiser::Kind::adamw && parameter.second.size() == 0)
      parameter.second = Buffer(count);
    if (optimiser.average_decay > 0 && (moves || parameter.statistics) && parameter.average.size() == 0) {
      Buffer average(count);
      std::copy(parameter.data.data(), parameter.data.data() + count, average.data());
      parameter.average = std::move(average);
    }
  }
}

void Trainer::update(const Optimiser& optimiser, float scale) {
  const TrainingKernels& kernel = kernels().training;
  const bool adamw = optimiser.kind == Optimiser::Kind::adamw;
  const double t = static_cast<double>(optimiser.step);
  std::vector<Parameter>& parameters = plan_.parameters();
  const bool averages = optimiser.average_decay > 0;
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    Parameter& parameter = parameters[index];
    const bool moves = is_moved(index, optimiser);
    if (!moves && !parameter.statistics) continue;
    const std::size_t count = parameter.data.size();
    UpdateArgs shared{};
    shared.rate = optimiser.learning_rate * optimiser.rate_scale[index];
    shared.decay = optimiser.weight_decay[index];
    shared.scale = scale;
    shared.momentum = optimiser.momentum;
    shared.nesterov = optimiser.nesterov;
    shared.beta1 = optimiser.beta1;
    shared.beta2 = optimiser.beta2;
    shared.epsilon = optimiser.epsilon;
    shared.first_correction = static_cast<float>(1 - std::pow(static_cast<double>(optimiser.beta1), t));
    shared.second_correction = static_cast<float>(1 - std::pow(static_cast<double>(optimiser.beta2), t));
    plan_.context().parallel(parts_of(count), [&](std::int64_t part, int) {
      const std::size_t begin = static_cast<std::size_t>(part) * kPart;
      UpdateArgs args = shared;
      args.count = static_cast<std::int64_t>(std::min(count - begin, kPart));
      args.weight = parameter.data.data() + begin;
      if (moves) {
        args.grad = parameter.grad.data() + begin;
        args.first = parameter.first.data() + begin;
        args.second = adamw ? parameter.second.data() + begin : nullptr;
        (adamw ? kernel.adamw : kernel.sgd)(args);
      }
      if (averages) kernel.average(parameter.average.data() + begin, args.weight, args.count, optimiser.average_decay);
    });
    ++parameter.version;
  }
  plan_.weights_changed();
}

StepResult Trainer::gradients(const std::vector<const float*>& inputs, const std::vector<Loss>& losses,
                              std::uint64_t seed, const JobControl* control) {
  plan_.context().train(true, seed);
  plan_.zero_gradients();
  StepResult result = pass(inputs, losses, plan_.examples(0), true, control);
  if (control) control->check();
  for (const Sensitivity& sensitivity : sensitivities_) result.penalty += sensitivity.add(plan_.parameters(), true);
  result.loss += result.penalty;
  result.gradient_norm = gradient_norm();
  return result;
}

StepResult Trainer::step(const std::vector<const float*>& inputs, const std::vector<Loss>& losses,
                         const Optimiser& optimiser, const JobControl* control) {
  const StepResult result = gradients(inputs, losses, optimiser.seed, control);
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) return result;
  if (control) control->check();
  // An update is short and must be whole: it does not listen to cancellation.
  plan_.context().attach(nullptr);
  prepare_update(optimiser);
  plan_.commit();
  const double clip = static_cast<double>(optimiser.clip_norm);
  update(optimiser, clip > 0 && result.gradient_norm > clip ? static_cast<float>(clip / result.gradient_norm) : 1.0f);
  return result;
}

StepResult Trainer::evaluate(const std::vector<const float*>& inputs, const std::vector<Loss>& losses,
                             std::int64_t count, const JobControl* control) {
  plan_.context().train(false, 0);
  return pass(inputs, losses, std::clamp<std::int64_t>(count, 1, plan_.examples(0)), false, control);
}

std::vector<float> Trainer::read(std::size_t index, What what) const {
  const Parameter& parameter = plan_.parameters()[index];
  const Buffer& buffer = buffer_of(parameter, what);
  if (buffer.size() == 0) return {};
  if (!parameter.packing) return {buffer.data(), buffer.data() + buffer.size()};
  std::vector<float> values(parameter.count, 0.0f);
  const std::vector<std::int32_t> order = parameter.packing->packed_order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] >= 0) values[static_cast<std::size_t>(order[i])] = buffer[i];
  }
  return values;
}

void Trainer::write(std::size_t index, What what, const float* values, std::size_t count) {
  Parameter& parameter = plan_.parameters()[index];
  Buffer& buffer = const_cast<Buffer&>(buffer_of(parameter, what));
  if (count == 0 && what != What::weights) {
    buffer = Buffer();
    return;
  }
  if (count != parameter.count) {
    throw Error(ErrorCode::shape, "values[" + std::to_string(index) + "]: expected " + std::to_string(parameter.count) +
                                      " elements, got " + std::to_string(count));
  }
  if (buffer.size() == 0) buffer = Buffer(parameter.data.size());
  if (!parameter.packing) {
    std::copy(values, values + count, buffer.data());
  } else {
    const std::vector<std::int32_t> order = parameter.packing->packed_order();
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (order[i] >= 0) buffer[i] = values[order[i]];
    }
  }
  ++parameter.version;
  plan_.weights_changed();
}

void Trainer::swap_average() {
  for (Parameter& parameter : plan_.parameters()) {
    if (parameter.average.size() == 0) continue;
    // Not the buffers: a gather reads the weights where they are.
    std::swap_ranges(parameter.data.data(), parameter.data.data() + parameter.data.size(), parameter.average.data());
    ++parameter.version;
  }
  plan_.weights_changed();
}

}  // namespace polyadic

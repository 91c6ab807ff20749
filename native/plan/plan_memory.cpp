// Part of Plan: where values lie: in one arena for inference, apart for training.
#include "plan.h"

#include <algorithm>

#include "../core/bf16.h"
#include "arena.h"

namespace polyadic {

void Plan::mark_constants() {
  once_.assign(spec_.steps.size(), false);
  for (std::size_t i = 0; i < spec_.values.size(); ++i) {
    const int parameter = spec_.values[i].parameter;
    if (parameter < 0) continue;
    values_[i].constant = !parameters_[static_cast<std::size_t>(parameter)].trainable;
    values_[i].data = parameters_[static_cast<std::size_t>(parameter)].data.data();
  }
  for (std::size_t i = 0; i < spec_.steps.size(); ++i) {
    const StepSpec& step = spec_.steps[i];
    if (!spec_.values[static_cast<std::size_t>(step.output)].dense) continue;
    const bool constant = std::all_of(step.inputs.begin(), step.inputs.end(),
                                      [&](int value) { return values_[static_cast<std::size_t>(value)].constant; });
    once_[i] = constant;
    values_[static_cast<std::size_t>(step.output)].constant = constant;
  }
}

void Plan::assign_inference_memory() {
  std::vector<Lifetime> lifetimes(values_.size());
  const int end = static_cast<int>(spec_.steps.size()) + 1;
  for (std::size_t i = 0; i < values_.size(); ++i) lifetimes[i] = {direct_[i] ? 0 : values_[i].floats(), end, -1, 0};
  const auto live = [&](int value, int step) {
    Lifetime& lifetime = lifetimes[static_cast<std::size_t>(value)];
    lifetime.first = std::min(lifetime.first, step);
    lifetime.last = std::max(lifetime.last, step);
  };
  for (const int input : spec_.inputs) live(input, 0);
  for (int i = 0; i < static_cast<int>(spec_.steps.size()); ++i) {
    for (const int value : step_values(spec_.steps[static_cast<std::size_t>(i)])) live(value, i + 1);
    live(spec_.steps[static_cast<std::size_t>(i)].output, i + 1);
    if (!once_[static_cast<std::size_t>(i)]) continue;
    live(spec_.steps[static_cast<std::size_t>(i)].output, 0);
    live(spec_.steps[static_cast<std::size_t>(i)].output, end);
  }
  for (const int output : spec_.outputs) live(output, end);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (spec_.values[i].parameter >= 0) lifetimes[i] = {0, end, end, 0};
  }
  const std::int64_t floats = assign_arena(lifetimes);
  const bool bf16 = std::any_of(values_.begin(), values_.end(), [](const Value& value) { return value.bf16; });
  const std::int64_t behind = bf16 ? kBf16PixelsBehind * bf16_block() / 2 : 0;
  memory_.emplace_back(static_cast<std::size_t>(floats + behind));
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (spec_.values[i].parameter < 0) values_[i].data = memory_[0].data() + lifetimes[i].offset;
  }
}

void Plan::assign_training_memory() {
  for (Value& value : values_) {
    if (value.data) continue;  // a parameter's, and so will its gradient be
    memory_.emplace_back(static_cast<std::size_t>(value.layout.size()));
    value.data = memory_.back().data();
    if (!value.needs_grad) continue;
    memory_.emplace_back(static_cast<std::size_t>(value.grad_layout.size()));
    value.grad = memory_.back().data();
  }
}

}  // namespace polyadic

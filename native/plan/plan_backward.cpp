// Part of Plan: the backward pass.
#include "plan.h"

#include <algorithm>

#include "../core/status.h"

namespace polyadic {

void Plan::mark_gradients() {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const int parameter = spec_.values[i].parameter;
    values_[i].needs_grad = parameter >= 0 && parameters_[static_cast<std::size_t>(parameter)].trainable;
  }
  for (const StepSpec& step : spec_.steps) {
    bool needs = false;
    for (const int parameter : step_parameters(step))
      needs = needs || parameters_[static_cast<std::size_t>(parameter)].trainable;
    for (const int value : step_values(step)) needs = needs || values_[static_cast<std::size_t>(value)].needs_grad;
    values_[static_cast<std::size_t>(step.output)].needs_grad = needs;
  }
}

// Walks back from the outputs, where losses leave their gradients: which steps get a gradient, and which inputs another
// consumer has already written to.
void Plan::find_backward_path() {
  if (spec_.outputs.empty()) throw Error(ErrorCode::argument, "plan: training needs an output");
  std::vector<bool> reached(values_.size(), false);
  for (const int output : spec_.outputs) reached[static_cast<std::size_t>(output)] = true;
  // Parameters' gradients begin at zero, and everybody adds to them.
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (spec_.values[i].parameter >= 0) reached[i] = true;
  }
  on_path_.assign(steps_.size(), false);
  for (std::size_t i = steps_.size(); i-- > 0;) {
    const StepSpec& step = spec_.steps[i];
    const std::size_t out = static_cast<std::size_t>(step.output);
    if (!reached[out] || !values_[out].needs_grad) continue;
    on_path_[i] = true;
    // In the order in which backward() writes them.
    if (step.residual >= 0) {
      steps_[i]->accumulate_residual = reached[static_cast<std::size_t>(step.residual)];
      reached[static_cast<std::size_t>(step.residual)] = true;
    }
    for (std::size_t k = 0; k < step.inputs.size(); ++k) {
      const std::size_t in = static_cast<std::size_t>(step.inputs[k]);
      steps_[i]->accumulate[k] = reached[in];
      reached[in] = true;
    }
  }
}

void Plan::zero_gradients() {
  for (Parameter& parameter : parameters_) {
    if (parameter.packing) continue;
    std::fill(parameter.grad.data(), parameter.grad.data() + parameter.grad.size(), 0.0f);
  }
}

void Plan::backward(const JobControl* control) {
  for (std::size_t i = steps_.size(); i-- > 0;) {
    if (!on_path_[i]) continue;
    if (control) control->check();
    steps_[i]->backward(*context_);
  }
}

void Plan::commit() {
  for (const std::unique_ptr<Step>& step : steps_) step->commit();
}

}  // namespace polyadic

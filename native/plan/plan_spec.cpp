#include "plan_spec.h"

namespace polyadic {

std::vector<int> step_parameters(const StepSpec& step) {
  std::vector<int> list;
  const auto add = [&](int index) {
    if (index >= 0) list.push_back(index);
  };
  if (step.op == Op::convolution || step.op == Op::conv_transpose) {
    add(step.convolution.weight);
    add(step.convolution.bias);
  }
  for (const ConvolutionSpec& stage : step.stages) {
    add(stage.weight);
    add(stage.bias);
  }
  if (step.op == Op::affine) {
    add(step.scale);
    add(step.shift);
  }
  if (step.op == Op::batch_norm) {
    for (const int index : {step.scale, step.shift, step.mean, step.variance}) add(index);
  }
  return list;
}

std::vector<int> step_values(const StepSpec& step) {
  std::vector<int> list = step.inputs;
  if (step.residual >= 0) list.push_back(step.residual);
  return list;
}

}  // namespace polyadic

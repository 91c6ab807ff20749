// Part of Plan: what a spec must keep to, so that no step meets an index or a kind of value that it does not expect.
#include "plan.h"

#include <string>

#include "../core/status.h"
#include "check_step.h"

namespace polyadic {

void Plan::check_indices() const {
  const auto check = [](int index, std::size_t count, const char* what) {
    if (index < 0 || static_cast<std::size_t>(index) >= count)
      throw Error(ErrorCode::argument, std::string("plan: unknown ") + what);
  };
  if (spec_.threads < 1 || spec_.threads > 1024)
    throw Error(ErrorCode::argument, "threads: expected an integer from 1 to 1024");
  for (const ValueSpec& value : spec_.values) {
    if (value.n < 1 || value.c < 1 || value.h < 1 || value.w < (value.dense ? 0 : 1))
      throw Error(ErrorCode::shape, "plan: a value without elements");
    if (value.bf16 && (value.dense || spec_.training))
      throw Error(ErrorCode::argument, "plan: only blocked values of inference can be bf16");
    if (value.dense && (value.n != 1 || value.c != 1 || value.h != 1))
      throw Error(ErrorCode::argument, "plan: a dense value is 1×1×1×elements");
    if (value.parameter < 0) continue;
    check(value.parameter, spec_.parameters.size(), "parameter");
    const Elements& data = spec_.parameters[static_cast<std::size_t>(value.parameter)];
    if (!value.dense || static_cast<std::int64_t>(data.size()) != value.w)
      throw Error(ErrorCode::argument, "plan: a constant must be dense and have its parameter's elements");
  }
  std::vector<bool> written(spec_.values.size(), false);
  for (std::size_t i = 0; i < spec_.values.size(); ++i) written[i] = spec_.values[i].parameter >= 0;
  for (const int input : spec_.inputs) {
    check(input, spec_.values.size(), "value");
    written[static_cast<std::size_t>(input)] = true;
  }
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) {
      check(value, spec_.values.size(), "value");
      if (!written[static_cast<std::size_t>(value)])
        throw Error(ErrorCode::argument, "plan: a value is read before it is written");
    }
    check(step.output, spec_.values.size(), "value");
    if (step.inputs.empty()) throw Error(ErrorCode::argument, "plan: a step without input");
    if (spec_.values[static_cast<std::size_t>(step.output)].parameter >= 0)
      throw Error(ErrorCode::argument, "plan: a step must not write to a constant");
    check_kinds(step);
    written[static_cast<std::size_t>(step.output)] = true;
    for (const int parameter : step_parameters(step)) check(parameter, spec_.parameters.size(), "parameter");
    if (step.op == Op::convolution || step.op == Op::conv_transpose)
      check(step.convolution.weight, spec_.parameters.size(), "weight");
    if (!spec_.training && (step.op == Op::batch_norm || step.op == Op::dropout))
      throw Error(ErrorCode::argument, std::string(op_name(step.op)) + " is a step of training plans only");
    if (step.op == Op::batch_norm && step_parameters(step).size() != 4)
      throw Error(ErrorCode::argument, "batch_norm: expected scale, bias, mean and variance");
    if (step.op == Op::cp_block && step.stages.size() < 2)
      throw Error(ErrorCode::argument, "cp_block: fewer than two stages");
    const bool with_gradient = step.maxout.pieces == 1 && (step.activation.kind == ActivationSpec::Kind::none ||
                                                           step.activation.kind == ActivationSpec::Kind::relu);
    if (spec_.training && step.op == Op::convolution && !with_gradient) {
      throw Error(ErrorCode::argument, "plan: in training only relu and a sum are fused with a convolution");
    }
    check_step(spec_, step);
  }
  for (const int output : spec_.outputs) {
    check(output, spec_.values.size(), "value");
    if (!written[static_cast<std::size_t>(output)])
      throw Error(ErrorCode::argument, "plan: an output is never written");
    if (spec_.values[static_cast<std::size_t>(output)].bf16)
      throw Error(ErrorCode::argument, "plan: an output must be float32");
  }
}

// Dense steps take dense values, the others blocked ones; element-wise functions and activations take either, but not
// both.
void Plan::check_kinds(const StepSpec& step) const {
  const auto dense = [&](int value) { return spec_.values[static_cast<std::size_t>(value)].dense; };
  const bool either = step.op == Op::elementwise || step.op == Op::activation;
  const bool to = either ? dense(step.output) : is_dense_op(step.op) || step.op == Op::to_dense;
  const bool from = either ? to : is_dense_op(step.op) || step.op == Op::to_blocked;
  for (const int value : step_values(step)) {
    if (spec_.values[static_cast<std::size_t>(value)].bf16 && !takes_bf16(step))
      throw Error(ErrorCode::argument, std::string(op_name(step.op)) + ": does not read bf16");
    if (dense(value) != from) throw Error(ErrorCode::argument, std::string(op_name(step.op)) + ": wrong kind of input");
  }
  if (spec_.values[static_cast<std::size_t>(step.output)].bf16 && !takes_bf16(step))
    throw Error(ErrorCode::argument, std::string(op_name(step.op)) + ": does not write bf16");
  if (dense(step.output) != to)
    throw Error(ErrorCode::argument, std::string(op_name(step.op)) + ": wrong kind of output");
}

}  // namespace polyadic

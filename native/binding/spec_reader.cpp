#include "spec_reader.h"

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "../core/limits.h"
#include "arguments.h"
#include "dense_spec_reader.h"

namespace polyadic::binding {
namespace {

std::int64_t bounded(std::int64_t value, std::int64_t least, const char* name) {
  if (value < least || value > kMostElements) argument_error(name, "an integer of at least " + std::to_string(least));
  return value;
}

// An index that an int holds: a larger one would become another's.
int to_index(std::int64_t value, std::int64_t least, const char* name) {
  if (value > std::numeric_limits<int>::max()) argument_error(name, "an index");
  return static_cast<int>(bounded(value, least, name));
}

template <std::size_t Count>
std::array<std::int64_t, Count> read_array(const Napi::Object& object, const char* name, std::int64_t least) {
  const std::vector<std::int64_t> values = integers_property(object, name);
  if (values.size() != Count) argument_error(name, std::to_string(Count) + " integers");
  std::array<std::int64_t, Count> result{};
  for (std::size_t i = 0; i < Count; ++i) result[i] = bounded(values[i], least, name);
  return result;
}

int read_index(const Napi::Object& object, const char* name) {
  return to_index(integer_property(object, name), -1, name);
}

Window read_window(const Napi::Object& object) {
  return {read_array<2>(object, "kernel", 1), read_array<2>(object, "strides", 1), read_array<4>(object, "pads", 0),
          read_array<2>(object, "dilations", 1)};
}

Algorithm read_algorithm(const Napi::Object& object) {
  static const std::pair<const char*, Algorithm> kAlgorithms[] = {{"automatic", Algorithm::automatic},
                                                                  {"direct", Algorithm::direct},
                                                                  {"winograd2", Algorithm::winograd2},
                                                                  {"winograd4", Algorithm::winograd4}};
  if (!has_property(object, "algorithm")) return Algorithm::automatic;
  const std::string name = string_property(object, "algorithm");
  for (const auto& [key, algorithm] : kAlgorithms) {
    if (name == key) return algorithm;
  }
  argument_error("algorithm", "\"automatic\", \"direct\", \"winograd2\" or \"winograd4\", got \"" + name + "\"");
}

ConvolutionSpec read_convolution(const Napi::Object& object) {
  return {read_window(object), bounded(integer_property(object, "groups"), 1, "groups"), read_index(object, "weight"),
          read_index(object, "bias"), read_algorithm(object)};
}

Maxout read_maxout(const Napi::Object& object) {
  const std::string order = string_property(object, "order");
  if (order != "adjacent" && order != "strided") argument_error("order", "\"adjacent\" or \"strided\"");
  return {bounded(integer_property(object, "pieces"), 1, "pieces"), order == "adjacent"};
}

ActivationSpec read_activation(const Napi::Object& object) {
  using Kind = ActivationSpec::Kind;
  static const std::pair<const char*, Kind> kKinds[] = {{"none", Kind::none},
                                                        {"relu", Kind::relu},
                                                        {"leaky_relu", Kind::leaky_relu},
                                                        {"clip", Kind::clip},
                                                        {"sigmoid", Kind::sigmoid},
                                                        {"tanh", Kind::tanh},
                                                        {"hard_sigmoid", Kind::hard_sigmoid},
                                                        {"hard_swish", Kind::hard_swish},
                                                        {"elu", Kind::elu},
                                                        {"selu", Kind::selu},
                                                        {"softplus", Kind::softplus},
                                                        {"swish", Kind::swish},
                                                        {"gelu", Kind::gelu},
                                                        {"gelu_tanh", Kind::gelu_tanh},
                                                        {"mish", Kind::mish},
                                                        {"softsign", Kind::softsign},
                                                        {"thresholded_relu", Kind::thresholded_relu},
                                                        {"affine", Kind::affine},
                                                        {"scaled_tanh", Kind::scaled_tanh}};
  const std::string name = string_property(object, "kind");
  for (const auto& [key, kind] : kKinds) {
    if (name == key) {
      return {kind, static_cast<float>(number_property(object, "alpha", 0)),
              static_cast<float>(number_property(object, "beta", 0))};
    }
  }
  argument_error("activation.kind", "a known activation, got \"" + name + "\"");
}

Op read_op(const Napi::Object& object) {
  const std::string name = string_property(object, "op");
  for (int i = 0; i <= static_cast<int>(kLastOp); ++i) {
    if (name == op_name(static_cast<Op>(i))) return static_cast<Op>(i);
  }
  argument_error("op", "a known operator, got \"" + name + "\"");
}

// Calls f for each object of an array property.
template <class F>
void each_object(const Napi::Object& object, const char* name, F&& f) {
  const Napi::Array array = array_property(object, name);
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(object.Env());
    const Napi::Value item = array.Get(i);
    if (!item.IsObject()) argument_error(name, "an array of objects");
    f(item.As<Napi::Object>());
  }
}

StepSpec read_step(const Napi::Object& object) {
  StepSpec step;
  step.op = read_op(object);
  step.output = read_index(object, "output");
  if (has_property(object, "input")) {
    step.inputs.push_back(read_index(object, "input"));
  } else {
    for (const std::int64_t input : integers_property(object, "inputs"))
      step.inputs.push_back(to_index(input, 0, "inputs"));
  }
  if (has_property(object, "residual")) step.residual = read_index(object, "residual");
  step.bf16 = has_property(object, "bf16") && bool_property(object, "bf16");
  if (has_property(object, "activation")) step.activation = read_activation(object_property(object, "activation"));
  if (has_property(object, "maxout")) step.maxout = read_maxout(object_property(object, "maxout"));
  switch (step.op) {
    case Op::convolution:
    case Op::conv_transpose:
      step.convolution = read_convolution(object);
      break;
    case Op::cp_block:
      each_object(object, "stages", [&](const Napi::Object& stage) {
        step.stages.push_back(read_convolution(stage));
        if (step.stages.back().weight < 0) argument_error("stages", "a weight in every stage");
      });
      break;
    case Op::maxout:
      step.maxout = read_maxout(object);
      break;
    case Op::max_pool:
    case Op::average_pool:
      step.window = read_window(object);
      step.count_include_pad = bool_property(object, "countIncludePad");
      break;
    case Op::affine:
      step.scale = read_index(object, "scale");
      step.shift = read_index(object, "shift");
      break;
    case Op::batch_norm:
      step.scale = read_index(object, "scale");
      step.shift = read_index(object, "bias");
      step.mean = read_index(object, "mean");
      step.variance = read_index(object, "variance");
      step.epsilon = static_cast<float>(number_property(object, "epsilon"));
      step.momentum = static_cast<float>(number_property(object, "momentum"));
      step.batch_statistics = bool_property(object, "batchStatistics");
      break;
    case Op::dropout:
      step.ratio = static_cast<float>(number_property(object, "ratio"));
      break;
    case Op::lrn:
      step.size = bounded(integer_property(object, "size"), 1, "size");
      step.alpha = static_cast<float>(number_property(object, "alpha"));
      step.beta = static_cast<float>(number_property(object, "beta"));
      step.bias = static_cast<float>(number_property(object, "bias"));
      break;
    default:
      if (step.op == Op::resample || step.op == Op::channels || step.op == Op::elementwise || is_dense_op(step.op))
        step.dense = read_dense_spec(object);
      if (step.op == Op::recurrent)
        each_object(object, "cell", [&](const Napi::Object& item) { step.cell.push_back(read_activation(item)); });
      break;
  }
  return step;
}

std::vector<int> read_indices(const Napi::Object& object, const char* name) {
  std::vector<int> indices;
  for (const std::int64_t index : integers_property(object, name)) indices.push_back(to_index(index, 0, name));
  return indices;
}

}  // namespace

PlanSpec read_plan_spec(const Napi::Value& value) {
  if (!value.IsObject()) argument_error("spec", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  PlanSpec spec;
  spec.threads = static_cast<int>(bounded(integer_property(object, "threads"), 1, "threads"));
  spec.training = bool_property(object, "training");
  if (has_property(object, "slice")) spec.slice = bounded(integer_property(object, "slice"), 1, "slice");
  each_object(object, "values", [&](const Napi::Object& item) {
    spec.values.push_back({bounded(integer_property(item, "n"), 1, "n"), bounded(integer_property(item, "c"), 1, "c"),
                           bounded(integer_property(item, "h"), 1, "h"), bounded(integer_property(item, "w"), 0, "w"),
                           has_property(item, "dense") && bool_property(item, "dense"),
                           has_property(item, "parameter") ? read_index(item, "parameter") : -1,
                           has_property(item, "bf16") && bool_property(item, "bf16")});
  });
  each_object(object, "parameters", [&](const Napi::Object& item) {
    const Span<float> data = float32_array(property(item, "data"), "parameter");
    spec.parameters.push_back({data.data, data.length});
    spec.trainable.push_back(bool_property(item, "trainable"));
  });
  each_object(object, "steps", [&](const Napi::Object& item) { spec.steps.push_back(read_step(item)); });
  spec.inputs = read_indices(object, "inputs");
  spec.outputs = read_indices(object, "outputs");
  return spec;
}

}  // namespace polyadic::binding

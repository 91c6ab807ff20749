#include "plan.h"

#include <algorithm>
#include <chrono>

#include "../core/dispatch.h"
#include "../core/status.h"
#include "../ops/bf16/gather.h"
#include "arena.h"
#include "check_step.h"
#include "slices.h"

namespace polyadic {
namespace {

bool is_convolution(Op op) { return op == Op::convolution || op == Op::cp_block; }

void clear(const Value& value) {
  if (value.bf16) return clear_halo(value.layout, value.half());
  clear_halo(value.layout, value.data);
}

const ConvolutionSpec& first_convolution(const StepSpec& step) {
  return step.op == Op::cp_block ? step.stages.front() : step.convolution;
}

}  // namespace

Plan::Plan(PlanSpec spec) : spec_(std::move(spec)) {
  check_indices();
  slice_inputs_.resize(spec_.inputs.size());
  batch_ = spec_.values.empty() ? 1 : spec_.values[0].n;
  Slices slices = images_at_a_time(spec_);
  slice_ = slices.images;
  slice_reason_ = std::move(slices.why);
  if (slice_ < batch_) {
    for (ValueSpec& value : spec_.values) value.n = slice_;
  }
  for (std::size_t i = 0; i < spec_.parameters.size(); ++i) {
    Parameter parameter;
    const std::vector<float>& data = spec_.parameters[i];
    parameter.data = Buffer(data.size());
    std::copy(data.begin(), data.end(), parameter.data.data());
    parameter.count = data.size();
    parameter.trainable = spec_.training && spec_.trainable[i];
    parameters_.push_back(std::move(parameter));
  }
  for (const StepSpec& step : spec_.steps) {
    for (const int parameter : step_parameters(step)) ++parameters_[static_cast<std::size_t>(parameter)].uses;
  }
  spec_.parameters.clear();
  spec_.parameters.shrink_to_fit();
  choose_layouts();
  if (spec_.training) order_channels();
  choose_direct();
  mark_constants();
  if (spec_.training) {
    mark_gradients();
    assign_training_memory();
  } else {
    assign_inference_memory();
  }
  make_steps();
  if (spec_.training) {
    // Steps may have put parameters into an order of their own.
    for (Parameter& parameter : parameters_) {
      if (parameter.trainable) parameter.grad = Buffer(parameter.data.size());
    }
    find_backward_path();
  } else {
    pack();
    release_packed_parameters();
  }
}

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
    const std::vector<float>& data = spec_.parameters[static_cast<std::size_t>(value.parameter)];
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

// Steps without a backward pass stand between no parameter and the loss.
void Plan::mark_constants() {
  once_.assign(spec_.steps.size(), false);
  for (std::size_t i = 0; i < spec_.values.size(); ++i) {
    const int parameter = spec_.values[i].parameter;
    values_[i].constant = parameter >= 0;
    if (parameter >= 0) values_[i].data = parameters_[static_cast<std::size_t>(parameter)].data.data();
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

// Blocked everywhere, but plain for an input of few channels that only convolutions read: padding it to a block would
// multiply its memory.
void Plan::choose_layouts() {
  const int block = kernels().f32.block;
  std::vector<bool> plain(spec_.values.size(), false);
  for (const int input : spec_.inputs) {
    plain[static_cast<std::size_t>(input)] = spec_.values[static_cast<std::size_t>(input)].c < block;
  }
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) {
      const ValueSpec& v = spec_.values[static_cast<std::size_t>(value)];
      if (!is_convolution(step.op) || value == step.residual ||
          (v.bf16 && !Bf16Gather::reads_plain(first_convolution(step).window, first_convolution(step).groups, v.c)))
        plain[static_cast<std::size_t>(value)] = false;
    }
  }
  for (std::size_t i = 0; i < spec_.values.size(); ++i) {
    const ValueSpec& v = spec_.values[i];
    Value value;
    value.layout = Layout{v.n, v.c, v.h, v.w, plain[i] || v.dense ? 1 : block, {}};
    value.bf16 = v.bf16;
    value.grad_layout = Layout{v.n, v.c, v.h, v.w, block, {}};
    values_.push_back(value);
  }
  for (StepSpec& step : spec_.steps) {
    step.dense_values = spec_.values[static_cast<std::size_t>(step.output)].dense;
    if (step.op == Op::conv_transpose) {
      Value& in = values_[static_cast<std::size_t>(step.inputs[0])];
      const Layout& out = values_[static_cast<std::size_t>(step.output)].layout;
      in.layout.halo.grow(
          backward_halo(convolution_shape(step.convolution, out, in.layout.c, in.layout.h, in.layout.w), in.layout.n));
    }
    if (!is_convolution(step.op)) continue;
    const ConvolutionSpec& conv = first_convolution(step);
    Value& in = values_[static_cast<std::size_t>(step.inputs[0])];
    Value& out = values_[static_cast<std::size_t>(step.output)];
    ConvolutionShape shape{conv.window, conv.groups, in.layout.c, out.layout.c, in.layout.h, in.layout.w, 0, 0};
    shape.out_h = output_extent(conv.window, 0, in.layout.h);
    shape.out_w = output_extent(conv.window, 1, in.layout.w);
    in.layout.halo.grow(needed_halo(forward_phases(shape, 1), in.layout.h, in.layout.w));
    if (spec_.training) out.grad_layout.halo.grow(backward_halo(shape, in.layout.n));
  }
}

// CP blocks at the edge of a plan read planes and write them, where they are: converting would take a tenth of their
// time. Few channels are plain anyway, and need no copy where no halo is wanted.
void Plan::choose_direct() {
  direct_.assign(values_.size(), false);
  if (spec_.training) return;
  std::vector<int> uses(values_.size(), 0), writers(values_.size(), 0);
  std::vector<int> blocks(values_.size(), 0);  // uses by CP blocks that take planes
  for (const int value : spec_.outputs) ++uses[static_cast<std::size_t>(value)];
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) ++uses[static_cast<std::size_t>(value)];
    ++writers[static_cast<std::size_t>(step.output)];
    if (step.op != Op::cp_block || step.bf16) continue;
    const std::size_t in = static_cast<std::size_t>(step.inputs[0]), out = static_cast<std::size_t>(step.output);
    if (step.stages.front().groups < values_[in].layout.c) ++blocks[in];
    if (step.residual < 0 && step.maxout.pieces == 1) ++blocks[out];
  }
  for (const int input : spec_.inputs) {
    const std::size_t i = static_cast<std::size_t>(input);
    Layout& layout = values_[i].layout;
    if (writers[i]++ > 0) continue;  // it, too, is written before the first step
    // Planes a multiple of 1 KiB apart would crowd on few sets of the first-level cache.
    if (!spec_.values[i].dense && uses[i] == blocks[i] && layout.halo.empty() && layout.h * layout.w % 256 != 0)
      layout.block = 1;
    const bool kept = std::find(spec_.outputs.begin(), spec_.outputs.end(), input) != spec_.outputs.end();
    direct_[i] = layout.block == 1 && layout.halo.empty() && !kept && !spec_.values[i].dense && !values_[i].bf16;
  }
  for (const int output : spec_.outputs) {
    const std::size_t i = static_cast<std::size_t>(output);
    if (spec_.values[i].dense || uses[i] != 1 || writers[i] != 1 || blocks[i] != 1)
      continue;  // read by nothing but the caller
    values_[i].layout.block = 1;
    direct_[i] = true;
  }
}

// Training keeps what goes into a maxout. Where a convolution makes it for nothing else, its channels lie by pieces,
// unless that would leave many places empty.
void Plan::order_channels() {
  std::vector<int> uses(values_.size(), 0);
  std::vector<const StepSpec*> makers(values_.size(), nullptr);
  for (const StepSpec& step : spec_.steps) {
    for (const int value : step_values(step)) ++uses[static_cast<std::size_t>(value)];
    makers[static_cast<std::size_t>(step.output)] = &step;
  }
  for (const int output : spec_.outputs) ++uses[static_cast<std::size_t>(output)];
  for (const StepSpec& step : spec_.steps) {
    if (step.op != Op::maxout || step.maxout.pieces < 2) continue;
    const std::size_t in = static_cast<std::size_t>(step.inputs[0]);
    const StepSpec* maker = makers[in];
    if (uses[in] != 1 || !maker || maker->op != Op::convolution || maker->convolution.groups != 1 ||
        maker->residual >= 0)
      continue;
    Value& value = values_[in];
    const ChannelOrder order{step.maxout, value.layout.c, value.layout.block};
    if (4 * order.places() > 5 * value.layout.blocks() * value.layout.block) continue;
    value.order = order;
    value.layout.c = value.grad_layout.c = order.places();
  }
}

void Plan::mark_gradients() {
  for (const StepSpec& step : spec_.steps) {
    bool needs = false;
    for (const int parameter : step_parameters(step))
      needs = needs || parameters_[static_cast<std::size_t>(parameter)].trainable;
    for (const int value : step_values(step)) needs = needs || values_[static_cast<std::size_t>(value)].needs_grad;
    values_[static_cast<std::size_t>(step.output)].needs_grad = needs;
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
  memory_.emplace_back(static_cast<std::size_t>(floats));
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (spec_.values[i].parameter < 0) values_[i].data = memory_[0].data() + lifetimes[i].offset;
  }
}

void Plan::assign_training_memory() {
  for (Value& value : values_) {
    if (value.data) continue;  // a constant
    memory_.emplace_back(static_cast<std::size_t>(value.layout.size()));
    value.data = memory_.back().data();
    if (!value.needs_grad) continue;
    memory_.emplace_back(static_cast<std::size_t>(value.grad_layout.size()));
    value.grad = memory_.back().data();
  }
}

void Plan::make_steps() {
  std::size_t scratch = 0;
  for (const StepSpec& step : spec_.steps) {
    steps_.push_back(make_step(step, {values_, parameters_, spec_.training, spec_.threads}));
    steps_.back()->accumulate.assign(step.inputs.size(), false);
    scratch = std::max(scratch, steps_.back()->scratch_floats());
  }
  context_ = std::make_unique<Context>(spec_.threads, scratch);
}

// Walks back from the outputs, where losses leave their gradients: which steps get a gradient, and which inputs another
// consumer has already written to.
void Plan::find_backward_path() {
  if (spec_.outputs.empty()) throw Error(ErrorCode::argument, "plan: training needs an output");
  std::vector<bool> reached(values_.size(), false);
  for (const int output : spec_.outputs) reached[static_cast<std::size_t>(output)] = true;
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

void Plan::pack() {
  for (const std::unique_ptr<Step>& step : steps_) step->pack(*context_);
  packed_ = true;
}

void Plan::release_packed_parameters() {
  std::vector<bool> kept(parameters_.size(), false);
  for (const ValueSpec& value : spec_.values) {
    if (value.parameter >= 0) kept[static_cast<std::size_t>(value.parameter)] = true;
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    steps_[i]->packed_for_good();
    if (is_convolution(spec_.steps[i].op) || spec_.steps[i].op == Op::conv_transpose) continue;
    for (const int parameter : step_parameters(spec_.steps[i])) kept[static_cast<std::size_t>(parameter)] = true;
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!kept[i]) parameters_[i].data = Buffer();
  }
}

// Small values are not worth waking threads.
template <class F>
void Plan::each_plane(const Layout& layout, F&& f) const {
  constexpr std::int64_t kSmall = 1 << 14;
  const std::int64_t planes = layout.planes(), size = layout.size();
  const std::int64_t parts = size < kSmall ? 1 : std::min<std::int64_t>(planes, size / (kSmall / 4));
  context_->parallel(parts, [&](std::int64_t part, int) {
    for (std::int64_t plane = planes * part / parts; plane < planes * (part + 1) / parts; ++plane) f(plane);
  });
}

void Plan::forward(const std::vector<const float*>& inputs, const JobControl* control) {
  context_->attach(control);
  if (!packed_) pack();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value& value = values_[static_cast<std::size_t>(spec_.inputs[i])];
    if (direct_[static_cast<std::size_t>(spec_.inputs[i])]) {
      value.data = const_cast<float*>(inputs[i]);  // no step writes to an input
      continue;
    }
    clear(value);
    each_plane(value.layout, [&](std::int64_t plane) {
      if (value.bf16) return from_nchw(inputs[i], value.layout, value.half(), plane);
      from_nchw(inputs[i], value.layout, value.data, plane);
    });
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (control) control->check();
    if (once_[i] && constants_done_) continue;
    run_step(i);
  }
  if (control) control->check();
  constants_done_ = true;
}

void Plan::run_step(std::size_t i) {
  const Value& out = values_[static_cast<std::size_t>(spec_.steps[i].output)];
  clear(out);
  steps_[i]->forward(*context_);
}

std::vector<double> Plan::time_steps(int runs, const JobControl* control) {
  const std::lock_guard<std::mutex> guard(mutex_);
  std::vector<Buffer> memory;  // of the values that lie in the caller's
  const auto lend = [&](int index) {
    Value& value = values_[static_cast<std::size_t>(index)];
    memory.emplace_back(static_cast<std::size_t>(dense_size(index)));
    if (direct_[static_cast<std::size_t>(index)]) value.data = memory.back().data();
    return memory.back().data();
  };
  std::vector<const float*> inputs;
  for (const int input : spec_.inputs) inputs.push_back(lend(input));
  for (const int output : spec_.outputs) lend(output);
  std::vector<double> least(steps_.size(), 0);
  forward(inputs, control);
  for (int run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (once_[i]) continue;
      if (control) control->check();
      const auto begin = std::chrono::steady_clock::now();
      run_step(i);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (run == 0 || seconds < least[i]) least[i] = seconds;
    }
  }
  return least;
}

void Plan::run(const std::vector<const float*>& inputs, const std::vector<float*>& outputs, const JobControl* control) {
  const std::lock_guard<std::mutex> guard(mutex_);
  for (std::int64_t done = 0; done < batch_; done += slice_) {
    // The last slice goes over images of the one before it again, where the batch is no multiple.
    const std::int64_t first = std::min(done, batch_ - slice_);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      slice_inputs_[i] = inputs[i] + first * dense_size(spec_.inputs[i]) / slice_;
    const auto target = [&](std::size_t i) { return outputs[i] + first * dense_size(spec_.outputs[i]) / slice_; };
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (direct_[static_cast<std::size_t>(spec_.outputs[i])])
        values_[static_cast<std::size_t>(spec_.outputs[i])].data = target(i);
    }
    forward(slice_inputs_, control);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (direct_[static_cast<std::size_t>(spec_.outputs[i])]) continue;
      const Value& value = values_[static_cast<std::size_t>(spec_.outputs[i])];
      float* to = target(i);
      each_plane(value.layout, [&](std::int64_t plane) { to_nchw(value.layout, value.data, to, plane); });
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

std::size_t Plan::arena_bytes() const {
  std::size_t bytes = context_->scratch_bytes();
  for (const Buffer& buffer : memory_) bytes += buffer.size() * sizeof(float);
  return bytes;
}

std::size_t Plan::weight_bytes() const {
  std::size_t bytes = 0;
  for (const std::unique_ptr<Step>& step : steps_) bytes += step->weight_bytes();
  for (const Parameter& parameter : parameters_) {
    for (const Buffer* buffer :
         {&parameter.data, &parameter.grad, &parameter.first, &parameter.second, &parameter.average})
      bytes += buffer->size() * sizeof(float);
  }
  return bytes;
}

std::vector<Plan::Described> Plan::describe() const {
  std::vector<Described> lines;
  for (std::size_t i = 0; i < steps_.size(); ++i)
    lines.push_back({op_name(spec_.steps[i].op), steps_[i]->kernel(), steps_[i]->why()});
  return lines;
}

std::size_t Plan::whole_size(int value) const { return static_cast<std::size_t>(dense_size(value) * batch_ / slice_); }

std::int64_t Plan::dense_size(int value) const {
  const ValueSpec& v = spec_.values[static_cast<std::size_t>(value)];
  return v.n * v.c * v.h * v.w;
}

}  // namespace polyadic

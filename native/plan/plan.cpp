#include "plan.h"

#include <algorithm>
#include <chrono>

#include "../core/bf16.h"
#include "../core/dispatch.h"
#include "slices.h"

namespace polyadic {
namespace {

void clear(const Value& value) {
  if (value.bf16) {
    clear_halo(value.layout, value.half());
    return clear_unused_strips(value.layout, value.half());
  }
  clear_halo(value.layout, value.data);
}

}  // namespace

Plan::Plan(PlanSpec spec, WeightStore* store, const JobControl* control) : spec_(std::move(spec)) {
  check_indices();
  slice_inputs_.resize(spec_.inputs.size());
  for (StepSpec& step : spec_.steps) {
    if (!step.inputs.empty()) step.convolution.batch = spec_.values[static_cast<std::size_t>(step.inputs[0])].n;
  }
  batch_ = spec_.values.empty() ? 1 : spec_.values[0].n;
  Slices slices = images_at_a_time(spec_);
  slice_ = slices.images;
  slice_reason_ = std::move(slices.why);
  if (slice_ < batch_) {
    for (ValueSpec& value : spec_.values) value.n = slice_;
  }
  for (std::size_t i = 0; i < spec_.parameters.size(); ++i) {
    Parameter parameter;
    const Elements& given = spec_.parameters[i];
    parameter.data = Buffer(given.count);
    std::copy_n(given.data, given.count, parameter.data.data());
    parameter.count = given.count;
    parameter.trainable = spec_.training && spec_.trainable[i];
    parameters_.push_back(std::move(parameter));
  }
  for (const StepSpec& step : spec_.steps) {
    for (const int parameter : step_parameters(step)) ++parameters_[static_cast<std::size_t>(parameter)].uses;
  }
  for (const ValueSpec& value : spec_.values) {
    if (value.parameter >= 0) ++parameters_[static_cast<std::size_t>(value.parameter)].uses;
  }
  spec_.parameters.clear();
  spec_.parameters.shrink_to_fit();
  choose_layouts();
  if (spec_.training) order_channels();
  choose_direct();
  check_layouts();
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
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (spec_.values[i].parameter >= 0 && values_[i].needs_grad)
        values_[i].grad = parameters_[static_cast<std::size_t>(spec_.values[i].parameter)].grad.data();
    }
    find_backward_path();
  } else {
    pack(store, control);
    release_packed_parameters();
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

void Plan::pack(WeightStore* store, const JobControl* control) {
  for (const std::unique_ptr<Step>& step : steps_) {
    if (control) control->check();
    step->pack(*context_);
    // Before the next one packs its own, so that there is never a second copy of all weights.
    if (store) shared_weight_bytes_ += step->share_weights(*store);
  }
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

void Plan::forward(const std::vector<const float*>& inputs, std::int64_t first, const JobControl* control) {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    slice_inputs_[i] = inputs[i] + first * dense_size(spec_.inputs[i]) / slice_;
  context_->begin_slice(first, first + slice_ == batch_);
  forward_slice(slice_inputs_, control);
}

void Plan::forward_slice(const std::vector<const float*>& inputs, const JobControl* control) {
  // Packing is not cut short, neither by this job nor by an earlier one, which may be gone: what is dropped of it would
  // be missing in all runs to come.
  context_->attach(nullptr);
  if (!packed_) pack();
  context_->attach(control);
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
  forward_slice(inputs, control);
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
    const auto target = [&](std::size_t i) { return outputs[i] + first * dense_size(spec_.outputs[i]) / slice_; };
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (direct_[static_cast<std::size_t>(spec_.outputs[i])])
        values_[static_cast<std::size_t>(spec_.outputs[i])].data = target(i);
    }
    forward(inputs, first, control);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (direct_[static_cast<std::size_t>(spec_.outputs[i])]) continue;
      const Value& value = values_[static_cast<std::size_t>(spec_.outputs[i])];
      float* to = target(i);
      each_plane(value.layout, [&](std::int64_t plane) { to_nchw(value.layout, value.data, to, plane); });
    }
  }
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

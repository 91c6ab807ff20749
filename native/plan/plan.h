// A compiled network: layouts chosen, memory assigned, weights packed; runs forward and, for training, backward.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../ops/step.h"
#include "plan_spec.h"
#include "weight_store.h"

namespace polyadic {

class Plan {
 public:
  // Throws Error(argument or shape) when indices or sizes in the spec do not fit each other. With a store, packed
  // weights of inference are shared with the other plans that were made with it. With a control, Error(aborted) once
  // that has been cancelled.
  explicit Plan(PlanSpec spec, WeightStore* store = nullptr, const JobControl* control = nullptr);

  // Dense NCHW inputs to dense NCHW outputs, in the spec's order. One run at a time: later callers wait.
  void run(const std::vector<const float*>& inputs, const std::vector<float*>& outputs, const JobControl* control);

  // Seconds that each step takes: the least of `runs` forward passes of one slice over inputs of zeros.
  std::vector<double> time_steps(int runs, const JobControl* control);

  // For the trainer: the same in steps, of one slice, that which begins with image `first` of the batch. The caller
  // holds lock().
  void forward(const std::vector<const float*>& inputs, std::int64_t first, const JobControl* control);
  void backward(const JobControl* control);
  void zero_gradients();
  // What a step noted in a training pass (running statistics) becomes part of its parameters.
  void commit();

  std::mutex& lock() { return mutex_; }
  const PlanSpec& spec() const { return spec_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Of a slice; examples(i) are those of the whole batch.
  Value& output(std::size_t i) { return values_[static_cast<std::size_t>(spec_.outputs[i])]; }
  std::int64_t examples(std::size_t i) { return output(i).layout.n * batch_ / slice_; }
  Context& context() { return *context_; }
  void weights_changed() { packed_ = false; }

  // Images that go through the network at a time; in training a divisor of the batch.
  std::int64_t slice() const { return slice_; }
  std::size_t arena_bytes() const;
  std::size_t weight_bytes() const;
  // Of them, what another plan had already when this one was made.
  std::size_t shared_weight_bytes() const { return shared_weight_bytes_; }
  // What each step does, by which kernel, and why.
  struct Described {
    std::string op, kernel, why;
  };
  std::vector<Described> describe() const;
  // Why so many images at a time; empty where there is one.
  const std::string& slice_reason() const { return slice_reason_; }
  std::size_t input_size(std::size_t i) const { return whole_size(spec_.inputs[i]); }
  std::size_t output_size(std::size_t i) const { return whole_size(spec_.outputs[i]); }

 private:
  void check_indices() const;
  void check_kinds(const StepSpec& step) const;
  void choose_layouts();
  void choose_direct();
  void check_layouts() const;
  void order_channels();
  void mark_constants();
  void mark_gradients();
  void assign_inference_memory();
  void assign_training_memory();
  void make_steps();
  void find_backward_path();
  void release_packed_parameters();
  void pack(WeightStore* store = nullptr, const JobControl* control = nullptr);
  void forward_slice(const std::vector<const float*>& inputs, const JobControl* control);
  void run_step(std::size_t i);
  template <class F>
  void each_plane(const Layout& layout, F&& f) const;
  // Elements of a value: of a slice, and of the whole batch.
  std::int64_t dense_size(int value) const;
  std::size_t whole_size(int value) const;

  PlanSpec spec_;  // its values are those of a slice
  // A run takes the batch in slices of so many images, see slices.h.
  std::int64_t batch_ = 1, slice_ = 1;
  std::string slice_reason_;
  std::vector<const float*> slice_inputs_;  // of the slice that runs
  std::vector<Value> values_;
  std::vector<bool> direct_;  // inputs and outputs that lie in the caller's memory
  std::vector<Parameter> parameters_;
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<bool> once_;     // steps over constants alone: they run before everything else, once
  std::vector<bool> on_path_;  // steps between trainable parameters and outputs
  std::vector<Buffer> memory_;
  std::unique_ptr<Context> context_;
  std::mutex mutex_;
  bool packed_ = false;
  std::size_t shared_weight_bytes_ = 0;
  bool constants_done_ = false;
};

}  // namespace polyadic

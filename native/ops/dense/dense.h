// Steps over dense values, one file each; their specs are documented in lib/runtime/dense-spec.ts.
#pragma once

#include <memory>

#include "../step.h"

namespace polyadic {

std::unique_ptr<Step> make_conversion(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_elementwise(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_copy(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_take(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_interpolate(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_reduce(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_along(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_normalise(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_gather(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_scatter(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_top_k(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_dense_pool(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_matmul(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_recurrent(const StepSpec& spec, StepResources resources);

// What most dense steps are: inputs, one output, a spec. Elements of a dense value are its data.
class DenseStep : public Step {
 protected:
  DenseStep(const StepSpec& spec, StepResources resources)
      : spec_(spec.dense), out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    for (const int input : spec.inputs) inputs_.push_back(&resources.values[static_cast<std::size_t>(input)]);
  }

  const Value& in(std::size_t i = 0) const { return *inputs_[i]; }
  static std::int64_t count(const Value& value) { return value.layout.size(); }

  // Throws Error(argument) unless a value has as many elements as the spec's sizes say.
  static void expect_count(const Value& value, std::int64_t elements, const char* what);
  // Throws Error(argument) unless there are `count` sizes, none negative.
  void expect_sizes(std::size_t count) const;
  void expect_inputs(std::size_t least) const;

  // Where a backward pass adds to the gradient of input i: zeros, unless another consumer has left its part. Null where
  // nobody asks for it. Once for each input, in their order, as the same value may be several of them.
  float* gradient(const Context& context, std::size_t i) const;
  // The same for a backward pass that reaches every element: nothing is cleared, and it sets them unless accumulate[i].
  float* whole_gradient(std::size_t i) const { return in(i).needs_grad ? in(i).grad : nullptr; }

  DenseSpec spec_;
  std::vector<Value*> inputs_;
  Value& out_;
};

std::int64_t product(const Dims& dims);

}  // namespace polyadic

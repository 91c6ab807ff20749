// Element-wise functions with broadcasting, over dense values by their views or over blocked ones by their layouts.
#include <atomic>

#include "../../core/status.h"
#include "dense.h"
#include "functions.h"
#include "nest.h"

namespace polyadic {
namespace {

// A blocked value as a view over N×blocks×H×W×b; 0 where it is broadcast.
DenseView blocked_view(const Layout& from, const Layout& to) {
  if (from.block != to.block || from.c != to.c || (from.n != to.n && from.n != 1) || (from.h != to.h && from.h != 1) ||
      (from.w != to.w && from.w != 1)) {
    throw Error(ErrorCode::shape, "elementwise: blocked values do not fit each other");
  }
  const auto stride = [](std::int64_t own, std::int64_t size, std::int64_t step) { return own == size ? step : 0; };
  return {from.at(0),
          {stride(from.n, to.n, from.image()), from.plane(), stride(from.h, to.h, from.row()),
           stride(from.w, to.w, from.block), 1}};
}

class Elementwise : public DenseStep {
 public:
  Elementwise(const StepSpec& spec, StepResources resources, bool dense)
      : DenseStep(spec, resources), function_(find_function(spec_.function)) {
    if (!function_ || static_cast<std::size_t>(function_->inputs) != inputs_.size())
      throw Error(ErrorCode::argument, "elementwise: unknown function \"" + spec_.function + "\"");
    if (spec_.numbers.size() > 0) numbers_.a = static_cast<double>(spec_.numbers[0]);
    if (spec_.numbers.size() > 1) numbers_.b = static_cast<double>(spec_.numbers[1]);
    Dims dims = spec_.dims;
    std::vector<DenseView> views = spec_.views;
    if (dense) {
      if (views.size() != inputs_.size()) throw Error(ErrorCode::argument, "elementwise: a view for each input");
      expect_count(out_, product(dims), "elementwise");
      for (std::size_t i = 0; i < views.size(); ++i) check_reach(in(i), dims, views[i], "elementwise");
      views.push_back({0, row_major(dims)});
    } else {
      const Layout& l = out_.layout;
      dims = {l.n, l.blocks(), l.h, l.w, l.block};
      views.clear();
      for (const Value* input : inputs_) views.push_back(blocked_view(input->layout, l));
      views.push_back(blocked_view(l, l));
    }
    nest_ = simplify(dims, views);
  }

  void forward(const Context& context) override {
    std::atomic<bool> exact{true};
    const std::size_t inputs = inputs_.size();
    each_line(context, nest_, [&](const auto& at, std::int64_t count) {
      FunctionLine line{};
      for (std::size_t i = 0; i < inputs; ++i) {
        line.in[i] = in(i).data + at[i];
        line.stride[i] = nest_.stride(i);
      }
      line.out = out_.data + at[inputs];
      line.count = count;
      if (spec_.integer_bits == 0) {
        function_->run(line, numbers_);
      } else if (!function_->run_integer(line, numbers_, spec_.integer_bits, spec_.integer_signed)) {
        exact = false;
      }
    });
    if (!exact) {
      throw Error(ErrorCode::numeric, spec_.function +
                                          " of integers: a result has more than the 24 bits that integers are "
                                          "computed with (or a division by zero has none)");
    }
  }

  std::string kernel() const override { return spec_.function; }

 private:
  const Function* function_;
  FunctionNumbers numbers_;
  Nest nest_;
};

}  // namespace

std::unique_ptr<Step> make_elementwise(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Elementwise>(spec, resources, spec.dense_values);
}

}  // namespace polyadic

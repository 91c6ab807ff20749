// Element-wise functions with broadcasting, over dense values by their views or over blocked ones by their layouts.
#include <algorithm>
#include <atomic>

#include "../../core/status.h"
#include "dense.h"
#include "functions.h"
#include "nest.h"
#include "view_sum.h"

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
    if (out_.needs_grad) prepare_backward(dims, views, dense);
  }

  void forward(const Context& context) override {
    std::atomic<bool> exact{true};
    each_line(context, nest_, [&](const auto& at, std::int64_t count) {
      const FunctionLine line = line_of(nest_, at, 0, count);
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

  void backward(const Context& context) override {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const bool whole = back_[i].is_whole;
      float* to = whole ? whole_gradient(i) : gradient(context, i);
      if (to) leave_part(context, i, to, !whole || accumulate[i]);
    }
  }

  std::string kernel() const override { return spec_.function; }

 private:
  // Where an input's part of the gradient belongs: straight there, or by way of `part`, as the output counts its
  // elements, where one of the input's is met several times.
  struct Back {
    Nest nest;  // inputs, output, its gradient, the input's gradient or `part`
    Buffer part;
    ViewSum sum;
    bool is_whole = false;  // straight there, and nothing else is in the input
  };

  void prepare_backward(const Dims& dims, const std::vector<DenseView>& views, bool dense) {
    slope_ = find_gradient(spec_.function);
    if (!slope_) throw Error(ErrorCode::argument, "elementwise: \"" + spec_.function + "\" has no gradient");
    const DenseView whole{0, row_major(dims)};
    const auto of_gradient = [&](const Value& value) { return blocked_view(value.grad_layout, out_.grad_layout); };
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      back_.emplace_back();
      if (!in(i).needs_grad) continue;
      Back& back = back_.back();
      const DenseView to = dense ? views[i] : of_gradient(in(i));
      back.sum = ViewSum(dims, whole, to);
      back.is_whole = back.sum.is_direct() && product(dims) == in(i).grad_layout.size();
      if (!back.sum.is_direct()) back.part = Buffer(static_cast<std::size_t>(product(dims)));
      std::vector<DenseView> all = views;
      all.push_back(dense ? whole : of_gradient(out_));
      all.push_back(back.sum.is_direct() ? to : whole);
      back.nest = simplify(dims, all);
    }
  }

  void leave_part(const Context& context, std::size_t input, float* to, bool add) {
    constexpr std::int64_t kChunk = 256;
    Back& back = back_[input];
    const bool direct = back.sum.is_direct();
    const std::size_t inputs = inputs_.size();
    const std::int64_t step = back.nest.stride(inputs + 2);
    each_line(context, back.nest, [&](const auto& at, std::int64_t count) {
      for (std::int64_t first = 0; first < count; first += kChunk) {
        const FunctionLine line = line_of(back.nest, at, first, std::min(kChunk, count - first));
        const float* dy = out_.grad + at[inputs + 1] + first;
        float part[kChunk];
        float* dx = (direct ? to : back.part.data()) + at[inputs + 2] + first * step;
        const bool in_place = !direct || (!add && step == 1);
        slope_(line, numbers_, dy, static_cast<int>(input), in_place ? dx : part);
        if (in_place) continue;
        if (add) {
          for (std::int64_t i = 0; i < line.count; ++i) dx[i * step] += part[i];
        } else {
          for (std::int64_t i = 0; i < line.count; ++i) dx[i * step] = part[i];
        }
      }
    });
    if (!direct) back.sum.add(context, back.part.data(), to);
  }

  // Elements [first, first + count) of a line. The output's follow each other.
  template <class At>
  FunctionLine line_of(const Nest& nest, const At& at, std::int64_t first, std::int64_t count) const {
    FunctionLine line{};
    const std::size_t inputs = inputs_.size();
    for (std::size_t i = 0; i < inputs; ++i) {
      line.stride[i] = nest.stride(i);
      line.in[i] = in(i).data + at[i] + first * line.stride[i];
    }
    line.out = out_.data + at[inputs] + first;
    line.count = count;
    return line;
  }

  const Function* function_;
  FunctionNumbers numbers_;
  Nest nest_;
  FunctionGradient slope_ = nullptr;
  std::vector<Back> back_;  // one an input
};

}  // namespace

std::unique_ptr<Step> make_elementwise(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Elementwise>(spec, resources, spec.dense_values);
}

}  // namespace polyadic

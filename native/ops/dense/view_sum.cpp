#include "view_sum.h"

#include <cstdlib>
#include <numeric>

namespace polyadic {
namespace {

constexpr std::int64_t kLanes = 64;  // elements summed together

}  // namespace

ViewSum::ViewSum(const Dims& dims, const DenseView& from, const DenseView& to) {
  std::vector<std::size_t> axes(dims.size());
  std::iota(axes.begin(), axes.end(), std::size_t{0});
  const auto stride = [&](std::size_t axis) { return std::abs(to.strides[axis]); };
  std::stable_sort(axes.begin(), axes.end(), [&](std::size_t a, std::size_t b) { return stride(a) > stride(b); });
  // From the innermost out: an axis keeps elements apart whose stride is longer than all within it reaches.
  std::int64_t reach = 0;
  std::vector<bool> steps_over(axes.size());
  for (std::size_t i = axes.size(); i-- > 0;) {
    steps_over[i] = stride(axes[i]) > reach || dims[axes[i]] <= 1;
    if (dims[axes[i]] > 0) reach += (dims[axes[i]] - 1) * stride(axes[i]);
  }
  const std::size_t apart =
      static_cast<std::size_t>(std::find(steps_over.begin(), steps_over.end(), false) - steps_over.begin());
  const auto nest_of = [&](std::size_t first, std::size_t last, bool with_offset) {
    Dims own;
    std::vector<DenseView> views{{with_offset ? from.offset : 0, {}}, {with_offset ? to.offset : 0, {}}};
    for (std::size_t i = first; i < last; ++i) {
      own.push_back(dims[axes[i]]);
      views[0].strides.push_back(from.strides[axes[i]]);
      views[1].strides.push_back(to.strides[axes[i]]);
    }
    return simplify(own, views);
  };
  apart_ = nest_of(0, apart, true);
  again_ = nest_of(apart, axes.size(), false);
  const Dims& strides = again_.views[1].strides;
  repeated_ = std::all_of(strides.begin(), strides.end(), [](std::int64_t step) { return step == 0; });
}

void ViewSum::add(const Context& context, const float* from, float* to) const {
  if (!is_direct()) return repeated_ ? add_repeated(context, from, to) : add_overlapping(context, from, to);
  const std::int64_t step = apart_.stride(0), to_step = apart_.stride(1);
  each_line(context, apart_, [&](const auto& at, std::int64_t count) {
    const float* x = from + at[0];
    float* y = to + at[1];
    if (step == 1 && to_step == 1) {
      for (std::int64_t i = 0; i < count; ++i) y[i] += x[i];
    } else {
      for (std::int64_t i = 0; i < count; ++i) y[i * to_step] += x[i * step];
    }
  });
}

void ViewSum::add_repeated(const Context& context, const float* from, float* to) const {
  const std::int64_t step = apart_.stride(0), to_step = apart_.stride(1), inner = again_.stride(0);
  each_line(context, apart_, [&](const auto& at, std::int64_t count) {
    for (std::int64_t first = 0; first < count; first += kLanes) {
      const std::int64_t lanes = std::min(kLanes, count - first);
      const float* x = from + at[0] + first * step;
      float* y = to + at[1] + first * to_step;
      double sums[kLanes] = {};
      walk(again_, [&](const auto& offset, std::int64_t line) {
        for (std::int64_t k = 0; k < line; ++k) {
          const float* row = x + offset[0] + k * inner;
          for (std::int64_t lane = 0; lane < lanes; ++lane) sums[lane] += static_cast<double>(row[lane * step]);
        }
      });
      for (std::int64_t lane = 0; lane < lanes; ++lane) y[lane * to_step] += static_cast<float>(sums[lane]);
    }
  });
}

void ViewSum::add_overlapping(const Context& context, const float* from, float* to) const {
  const std::int64_t step = again_.stride(0), to_step = again_.stride(1);
  each_line(context, apart_, [&](const auto& at, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float* x = from + at[0] + i * apart_.stride(0);
      float* y = to + at[1] + i * apart_.stride(1);
      walk(again_, [&](const auto& offset, std::int64_t line) {
        for (std::int64_t k = 0; k < line; ++k) y[offset[1] + k * to_step] += x[offset[0] + k * step];
      });
    }
  });
}

}  // namespace polyadic

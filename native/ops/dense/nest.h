// Loops over strided views of values: simplified once, walked line by line.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "../../plan/dense_spec.h"
#include "../step.h"

namespace polyadic {

// Views that are walked together; the last axis is the line.
struct Nest {
  Dims dims;
  std::vector<DenseView> views;
  std::int64_t line() const { return dims.empty() ? 1 : dims.back(); }
  std::int64_t stride(std::size_t view) const { return dims.empty() ? 0 : views[view].strides.back(); }
};

// Drops axes of length 1 and joins neighbours that every view walks as one.
Nest simplify(const Dims& dims, const std::vector<DenseView>& views);

// Strides of a row-major tensor.
Dims row_major(const Dims& dims);

// Throws Error(argument) unless every element of the view lies inside of the value.
void check_reach(const Value& value, const Dims& dims, const DenseView& view, const char* what);

constexpr std::size_t kMostViews = 6;

// f(offset of each view, elements) for each line, or part of a long line, in parallel.
template <class F>
void each_line(const Context& context, const Nest& nest, F&& f) {
  constexpr std::int64_t kPart = 1 << 14;
  const std::int64_t line = nest.line();
  std::int64_t lines = 1;
  for (std::size_t axis = 0; axis + 1 < nest.dims.size(); ++axis) lines *= nest.dims[axis];
  if (lines == 0 || line == 0) return;
  const std::int64_t parts = (line + kPart - 1) / kPart;               // of a line
  const std::int64_t chunk = std::max<std::int64_t>(1, kPart / line);  // lines of a job
  const std::int64_t jobs = parts > 1 ? lines * parts : (lines + chunk - 1) / chunk;
  const std::size_t views = nest.views.size();
  context.parallel(jobs, [&](std::int64_t job, int) {
    const std::int64_t first = parts > 1 ? job / parts : job * chunk;
    const std::int64_t last = parts > 1 ? first + 1 : std::min(lines, first + chunk);
    const std::int64_t begin = parts > 1 ? job % parts * kPart : 0;
    const std::int64_t count = std::min(kPart, line - begin);
    std::array<std::int64_t, kMostViews> at{};
    std::array<std::int64_t, 16> position{};
    for (std::size_t v = 0; v < views; ++v) at[v] = nest.views[v].offset + begin * nest.stride(v);
    std::int64_t rest = first;
    for (std::size_t axis = nest.dims.size() > 0 ? nest.dims.size() - 1 : 0; axis-- > 0;) {
      position[axis] = rest % nest.dims[axis];
      rest /= nest.dims[axis];
      for (std::size_t v = 0; v < views; ++v) at[v] += position[axis] * nest.views[v].strides[axis];
    }
    for (std::int64_t i = first; i < last; ++i) {
      f(at, parts > 1 ? count : line);
      for (std::size_t axis = nest.dims.size() > 0 ? nest.dims.size() - 1 : 0; axis-- > 0;) {
        for (std::size_t v = 0; v < views; ++v) at[v] += nest.views[v].strides[axis];
        if (++position[axis] < nest.dims[axis]) break;
        for (std::size_t v = 0; v < views; ++v) at[v] -= nest.dims[axis] * nest.views[v].strides[axis];
        position[axis] = 0;
      }
    }
  });
}

// The same on the calling thread, line by line.
template <class F>
void walk(const Nest& nest, F&& f) {
  const std::size_t outer = nest.dims.empty() ? 0 : nest.dims.size() - 1, views = nest.views.size();
  for (const std::int64_t dim : nest.dims) {
    if (dim == 0) return;
  }
  std::array<std::int64_t, kMostViews> at{};
  std::array<std::int64_t, 16> position{};
  for (std::size_t v = 0; v < views; ++v) at[v] = nest.views[v].offset;
  for (;;) {
    f(at, nest.line());
    std::size_t axis = outer;
    for (; axis-- > 0;) {
      for (std::size_t v = 0; v < views; ++v) at[v] += nest.views[v].strides[axis];
      if (++position[axis] < nest.dims[axis]) break;
      for (std::size_t v = 0; v < views; ++v) at[v] -= nest.dims[axis] * nest.views[v].strides[axis];
      position[axis] = 0;
    }
    if (axis >= outer) return;
  }
}

}  // namespace polyadic

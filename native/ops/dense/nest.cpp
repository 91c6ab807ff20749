#include "nest.h"

#include "../../core/limits.h"
#include "../../core/status.h"
#include "dense.h"

namespace polyadic {

std::int64_t product(const Dims& dims) {
  std::int64_t result = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || (dim > 0 && result > kMostElements / dim))
      throw Error(ErrorCode::argument, "plan: dims out of range");
    result *= dim;
  }
  return result;
}

Dims row_major(const Dims& dims) {
  Dims strides(dims.size());
  std::int64_t stride = 1;
  for (std::size_t axis = dims.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= dims[axis];
  }
  return strides;
}

Nest simplify(const Dims& dims, const std::vector<DenseView>& views) {
  Nest nest;
  for (const DenseView& view : views) nest.views.push_back({view.offset, {}});
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] == 1) continue;
    bool joins = !nest.dims.empty();
    for (std::size_t v = 0; joins && v < views.size(); ++v) {
      joins = nest.views[v].strides.back() == views[v].strides[axis] * dims[axis];
    }
    if (joins) {
      nest.dims.back() *= dims[axis];
    } else {
      nest.dims.push_back(dims[axis]);
    }
    for (std::size_t v = 0; v < views.size(); ++v) {
      if (joins) {
        nest.views[v].strides.back() = views[v].strides[axis];
      } else {
        nest.views[v].strides.push_back(views[v].strides[axis]);
      }
    }
  }
  return nest;
}

void check_reach(const Value& value, const Dims& dims, const DenseView& view, const char* what) {
  if (view.strides.size() != dims.size() || dims.size() > 16)
    throw Error(ErrorCode::argument, std::string(what) + ": as many strides as dims, at most 16, are needed");
  if (product(dims) == 0) return;
  std::int64_t low = view.offset, high = view.offset;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    const std::int64_t stride = view.strides[axis];
    if (stride > kMostElements || stride < -kMostElements)
      throw Error(ErrorCode::argument, std::string(what) + ": stride");
    const std::int64_t reach = (dims[axis] - 1) * stride;
    (reach < 0 ? low : high) += reach;
    if (low < 0 || high >= value.layout.size())
      throw Error(ErrorCode::argument, std::string(what) + ": a view reaches outside of its value");
  }
  if (low < 0 || high >= value.layout.size())
    throw Error(ErrorCode::argument, std::string(what) + ": a view reaches outside of its value");
}

void DenseStep::expect_count(const Value& value, std::int64_t elements, const char* what) {
  if (value.layout.size() != elements) {
    throw Error(ErrorCode::argument, std::string(what) + ": expected " + std::to_string(elements) + " elements, got " +
                                         std::to_string(value.layout.size()));
  }
}

void DenseStep::expect_sizes(std::size_t count) const {
  if (spec_.sizes.size() != count) throw Error(ErrorCode::argument, "plan: wrong number of sizes");
  for (const std::int64_t size : spec_.sizes) {
    if (size < 0 || size > kMostElements) throw Error(ErrorCode::argument, "plan: a size out of range");
  }
}

float* DenseStep::gradient(const Context& context, std::size_t i) const {
  constexpr std::int64_t kPart = 1 << 16;
  const Value& value = in(i);
  if (!value.needs_grad) return nullptr;
  const std::int64_t count = value.grad_layout.size();
  if (!accumulate[i]) {
    context.parallel((count + kPart - 1) / kPart, [&](std::int64_t part, int) {
      std::fill(value.grad + part * kPart, value.grad + std::min(count, (part + 1) * kPart), 0.0f);
    });
  }
  return value.grad;
}

void DenseStep::expect_inputs(std::size_t least) const {
  if (inputs_.size() < least) throw Error(ErrorCode::argument, "plan: a dense step without its inputs");
}

}  // namespace polyadic

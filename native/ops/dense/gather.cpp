// Elements by computed indices: Gather, GatherElements, GatherND and the scatters that mirror them.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "../../core/status.h"
#include "dense.h"
#include "larger.h"
#include "nest.h"

namespace polyadic {
namespace {

// Index of an axis of `size`, counted from the end where negative; −1 when it does not exist.
std::int64_t resolve(float index, std::int64_t size) {
  // Compared before it is converted: NaN and what no integer holds compare false.
  const double at = static_cast<double>(index) + (index < 0 ? static_cast<double>(size) : 0.0);
  return at >= 0 && at < static_cast<double>(size) ? static_cast<std::int64_t>(at) : -1;
}

void combine(float& to, float value, const std::string& how) {
  if (how == "add") {
    to += value;
  } else if (how == "multiply") {
    to *= value;
  } else if (how == "minimum") {
    to = smaller(value, to);
  } else if (how == "maximum") {
    to = larger(value, to);
  } else {
    to = value;
  }
}

// Inputs: data, indices and, for a scatter, updates. A scatter begins with a copy of the data and goes through the
// indices in order on one thread, as they may repeat.
//   axis:     sizes outer, size, inner, indices.       out[o, k, i] = data[o, indices[k], i]
//   elements: dims of the indices, views: data.        out[i…] = data[i… with index along axis sizes[0]]
//   nd:       sizes batch, indices of a batch, row.    dims: the data's axes that an index addresses
class Indexed : public DenseStep {
 public:
  Indexed(const StepSpec& spec, StepResources resources)
      : DenseStep(spec, resources), scatters_(spec.op == Op::scatter), how_(spec_.names.empty() ? "" : spec_.names[0]) {
    expect_inputs(scatters_ ? 3 : 2);
    const std::int64_t indices = count(in(1));
    if (spec_.function == "axis") {
      expect_sizes(4);
      const std::int64_t outer = spec_.sizes[0], size = spec_.sizes[1], inner = spec_.sizes[2], many = spec_.sizes[3];
      expect_count(in(1), many, "gather");
      expect_count(in(), product({outer, size, inner}), "gather");
      expect_count(out_, product({outer, many, inner}), "gather");
    } else if (spec_.function == "elements") {
      expect_sizes(2);  // axis, size of the data along it
      if (spec_.views.size() != 1 || spec_.sizes[0] >= static_cast<std::int64_t>(spec_.dims.size()))
        throw Error(ErrorCode::argument, "gather: one view and an axis are needed");
      expect_count(in(1), product(spec_.dims), "gather");
      Dims reach = spec_.dims;
      reach[static_cast<std::size_t>(spec_.sizes[0])] = spec_.sizes[1];
      check_reach(in(), reach, spec_.views[0], "gather");
      expect_count(scatters_ ? in(2) : out_, indices, "gather");
    } else if (spec_.function == "nd") {
      expect_sizes(3);
      const std::int64_t batch = spec_.sizes[0], tuples = spec_.sizes[1], row = spec_.sizes[2];
      expect_count(in(1), batch * tuples * static_cast<std::int64_t>(spec_.dims.size()), "gather");
      expect_count(in(), batch * product(spec_.dims) * row, "gather");
      expect_count(scatters_ ? in(2) : out_, batch * tuples * row, "gather");
    } else {
      throw Error(ErrorCode::argument, "gather: unknown function \"" + spec_.function + "\"");
    }
    if (scatters_) expect_count(out_, count(in()), "scatter");
  }

  void forward(const Context& context) override {
    bool inside = true;
    if (scatters_) std::memcpy(out_.data, in().data, static_cast<std::size_t>(count(in())) * sizeof(float));
    const auto move = [&](std::int64_t data, std::int64_t other, std::int64_t row) {
      for (std::int64_t j = 0; j < row; ++j) {
        if (scatters_) {
          combine(out_.data[data + j], in(2).data[other + j], how_);
        } else {
          out_.data[other + j] = in().data[data + j];
        }
      }
    };
    if (spec_.function == "axis") {
      inside = each_slice(context, [&](std::int64_t data, std::int64_t out) {
        std::memcpy(out_.data + out, in().data + data, static_cast<std::size_t>(spec_.sizes[2]) * sizeof(float));
      });
    } else if (spec_.function == "elements") {
      inside = each_index([&](std::int64_t data, std::int64_t other) { move(data, other, 1); });
    } else {
      inside = each_tuple([&](std::int64_t data, std::int64_t other) { move(data, other, spec_.sizes[2]); });
    }
    if (!inside) throw Error(ErrorCode::argument, "gather: an index does not exist in its axis");
  }

  // Adds to where elements came from, in the order of the indices, which may repeat; forward() has looked at them.
  void backward(const Context& context) override {
    if (scatters_) return Step::backward(context);
    float* to = gradient(context, 0);
    gradient(context, 1);
    if (!to) return;
    if (spec_.function == "axis") {
      each_slice(context, [&](std::int64_t data, std::int64_t out) {
        for (std::int64_t i = 0; i < spec_.sizes[2]; ++i) to[data + i] += out_.grad[out + i];
      });
    } else if (spec_.function == "elements") {
      each_index([&](std::int64_t data, std::int64_t out) { to[data] += out_.grad[out]; });
    } else {
      const std::int64_t row = spec_.sizes[2];
      each_tuple([&](std::int64_t data, std::int64_t out) {
        for (std::int64_t j = 0; j < row; ++j) to[data + j] += out_.grad[out + j];
      });
    }
  }

  std::string kernel() const override { return spec_.function; }

 private:
  // f(where a slice begins in the data, where it does in the output). Whether all indices exist.
  template <class F>
  bool each_slice(const Context& context, F&& f) const {
    std::atomic<bool> inside{true};
    const std::int64_t size = spec_.sizes[1], inner = spec_.sizes[2], many = spec_.sizes[3];
    context.parallel(spec_.sizes[0], [&](std::int64_t outer, int) {
      for (std::int64_t k = 0; k < many; ++k) {
        const std::int64_t at = resolve(in(1).data[k], size);
        if (at < 0) {
          inside = false;
          continue;
        }
        f((outer * size + at) * inner, (outer * many + k) * inner);
      }
    });
    return inside;
  }

  // The same for elements.
  template <class F>
  bool each_index(F&& f) const {
    bool inside = true;
    const std::size_t axis = static_cast<std::size_t>(spec_.sizes[0]);
    const DenseView& view = spec_.views[0];
    Dims position(spec_.dims.size(), 0);
    for (std::int64_t i = 0; i < count(in(1)); ++i) {
      const std::int64_t index = resolve(in(1).data[i], spec_.sizes[1]);
      std::int64_t at = view.offset;
      for (std::size_t k = 0; k < position.size(); ++k) at += view.strides[k] * (k == axis ? index : position[k]);
      if (index < 0) {
        inside = false;
      } else {
        f(at, i);
      }
      for (std::size_t k = position.size(); k-- > 0 && ++position[k] == spec_.dims[k];) position[k] = 0;
    }
    return inside;
  }

  // The same for rows that tuples of indices address.
  template <class F>
  bool each_tuple(F&& f) const {
    bool inside = true;
    const std::int64_t batch = spec_.sizes[0], many = spec_.sizes[1], row = spec_.sizes[2];
    const std::size_t rank = spec_.dims.size();
    const std::int64_t image = product(spec_.dims) * row;
    for (std::int64_t i = 0; i < batch * many; ++i) {
      std::int64_t at = 0;
      bool exists = true;
      for (std::size_t k = 0; k < rank; ++k) {
        const std::int64_t index = resolve(in(1).data[static_cast<std::size_t>(i) * rank + k], spec_.dims[k]);
        exists = exists && index >= 0;
        at = at * spec_.dims[k] + index;
      }
      if (!exists) {
        inside = false;
        continue;
      }
      f(i / many * image + at * row, i * row);
    }
    return inside;
  }

  bool scatters_;
  std::string how_;
};

}  // namespace

std::unique_ptr<Step> make_gather(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Indexed>(spec, resources);
}

}  // namespace polyadic

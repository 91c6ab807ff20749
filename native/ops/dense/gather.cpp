// Elements by computed indices: Gather, GatherElements and GatherND.
#include <atomic>
#include <cstring>

#include "indexed.h"

namespace polyadic {
namespace {

// Inputs: data, indices. Beside what IndexedStep takes:
//   axis: sizes outer, size, inner, indices.    out[o, k, i] = data[o, indices[k], i]
class IndexedGather : public IndexedStep {
 public:
  IndexedGather(const StepSpec& spec, StepResources resources)
      : IndexedStep(spec, resources, "gather"), along_axis_(spec_.function == "axis") {
    if (along_axis_) {
      expect_slices();
    } else {
      expect_rows(out_);
    }
  }

  void forward(const Context& context) override {
    if (along_axis_) {
      return each_slice(context, [&](std::int64_t data, std::int64_t out) {
        std::memcpy(out_.data + out, in().data + data, static_cast<std::size_t>(spec_.sizes[2]) * sizeof(float));
      });
    }
    each_row([&](std::int64_t data, std::int64_t out) {
      for (std::int64_t j = 0; j < row(); ++j) out_.data[out + j] = in().data[data + j];
    });
  }

  // Adds to where elements came from, in the order of the indices, which may repeat.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    gradient(context, 1);
    if (!to) return;
    const auto add = [&](std::int64_t data, std::int64_t out, std::int64_t row) {
      for (std::int64_t j = 0; j < row; ++j) to[data + j] += out_.grad[out + j];
    };
    if (along_axis_) {
      each_slice(context, [&](std::int64_t data, std::int64_t out) { add(data, out, spec_.sizes[2]); });
    } else {
      each_row([&](std::int64_t data, std::int64_t out) { add(data, out, row()); });
    }
  }

  std::string kernel() const override { return spec_.function; }

 private:
  void expect_slices() const {
    expect_inputs(2);
    expect_sizes(4);
    const std::int64_t outer = spec_.sizes[0], size = spec_.sizes[1], inner = spec_.sizes[2], many = spec_.sizes[3];
    expect_count(in(1), many, "gather");
    expect_count(in(), product({outer, size, inner}), "gather");
    expect_count(out_, product({outer, many, inner}), "gather");
  }

  // f(where a slice begins in the data, where it does in the output), an outer position a job.
  template <class F>
  void each_slice(const Context& context, F&& f) const {
    std::atomic<bool> inside{true};
    const std::int64_t size = spec_.sizes[1], inner = spec_.sizes[2], many = spec_.sizes[3];
    context.parallel(spec_.sizes[0], [&](std::int64_t outer, int) {
      for (std::int64_t k = 0; k < many; ++k) {
        const std::int64_t at = resolve_index(in(1).data[k], size);
        if (at < 0) {
          inside = false;
          continue;
        }
        f((outer * size + at) * inner, (outer * many + k) * inner);
      }
    });
    if (!inside) refuse_index();
  }

  bool along_axis_;
};

}  // namespace

std::unique_ptr<Step> make_gather(const StepSpec& spec, StepResources resources) {
  return std::make_unique<IndexedGather>(spec, resources);
}

}  // namespace polyadic

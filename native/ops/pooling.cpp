// Maximum and average pooling over windows, and the average over a whole map.
#include <algorithm>
#include <string>
#include <vector>

#include "../core/dispatch.h"
#include "../core/status.h"
#include "epilogue.h"
#include "geometry.h"
#include "step.h"

namespace polyadic {
namespace {

class Pool : public Step {
 public:
  Pool(const StepSpec& spec, StepResources resources)
      : window_(spec.window),
        maximum_(spec.op == Op::max_pool),
        count_include_pad_(spec.count_include_pad),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    if (in_.layout.block != out_.layout.block || in_.layout.c != out_.layout.c)
      throw Error(ErrorCode::shape, "pool: channels differ");
    rows_ = spans(window_, 0, out_.layout.h, in_.layout.h);
    columns_ = spans(window_, 1, out_.layout.w, in_.layout.w);
  }

  void forward(const Context& context) override {
    const auto run = maximum_ ? kernels().pool.maximum : kernels().pool.average;
    const std::int64_t blocks = in_.layout.blocks(), rows = out_.layout.h;
    context.parallel(in_.layout.n * blocks * rows, [&](std::int64_t index, int) {
      const std::int64_t plane = index / rows, n = plane / blocks, b = plane % blocks;
      each_run(index % rows, [&](PoolArgs& args, const Run& at) {
        args.x = in_.data + in_.layout.at(n, b) + in_.layout.pixel(at.y, at.x);
        args.y = out_.data + out_.layout.at(n, b) + out_.layout.pixel(at.out_y, at.out_x);
        run(args);
      });
    });
  }

  // Where windows overlap, a plane (image, channel block) is cleared first and each adds its part.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& dx_layout = in_.grad_layout;
    const Layout& dy_layout = out_.grad_layout;
    const bool overlap = overlaps(0) || overlaps(1);
    if (!accumulate[0] && (overlap || !covers(0) || !covers(1))) {
      each_row(context, dx_layout, dx_layout, [&](std::int64_t at, std::int64_t, std::int64_t count) {
        std::fill(in_.grad + at, in_.grad + at + count, 0.0f);
      });
    }
    const auto run = maximum_ ? kernels().pool.maximum_gradient : kernels().pool.average_gradient;
    const std::int64_t blocks = in_.layout.blocks();
    context.parallel(in_.layout.n * blocks, [&](std::int64_t plane, int) {
      const std::int64_t n = plane / blocks, b = plane % blocks;
      for (std::int64_t oy = 0; oy < out_.layout.h; ++oy) {
        each_run(oy, [&](PoolArgs& args, const Run& at) {
          args.x = in_.data + in_.layout.at(n, b) + in_.layout.pixel(at.y, at.x);
          args.y = out_.data + out_.layout.at(n, b) + out_.layout.pixel(at.out_y, at.out_x);
          args.dx = in_.grad + dx_layout.at(n, b) + dx_layout.pixel(at.y, at.x);
          args.dy = out_.grad + dy_layout.at(n, b) + dy_layout.pixel(at.out_y, at.out_x);
          args.add = accumulate[0] || overlap;
          run(args);
        });
      }
    });
  }

  std::string kernel() const override { return "windows " + window_name(window_); }

 private:
  struct Run {
    std::int64_t y, x, out_y, out_x;  // first pixel of its first window, and that window's place
  };

  static std::vector<Span> spans(const Window& window, std::size_t axis, std::int64_t count, std::int64_t extent) {
    std::vector<Span> list;
    for (std::int64_t i = 0; i < count; ++i) list.push_back(window_span(window, axis, i, extent));
    return list;
  }

  bool overlaps(std::size_t axis) const {
    return (window_.kernel[axis] - 1) * window_.dilations[axis] + 1 > window_.strides[axis];
  }
  // Whether every pixel is in a window; of windows that do not overlap.
  bool covers(std::size_t axis) const {
    const std::int64_t count = axis == 0 ? out_.layout.h : out_.layout.w;
    const std::int64_t extent = axis == 0 ? in_.layout.h : in_.layout.w;
    return window_.kernel[axis] == window_.strides[axis] && window_.dilations[axis] == 1 &&
           count * window_.strides[axis] >= extent + window_.pads[axis];
  }

  // f(what a kernel needs but the pointers, where they go) for runs of neighbouring windows of the same shape in row
  // `oy` of the output. A copy of its own for every call: f fills it in.
  template <class F>
  void each_run(std::int64_t oy, F&& f) const {
    const int block = in_.layout.block;
    PoolArgs shared{};
    shared.x_column = shared.dx_column = window_.dilations[1] * block;
    shared.x_window = shared.dx_window = window_.strides[1] * block;
    shared.x_row = window_.dilations[0] * in_.layout.row();
    shared.dx_row = window_.dilations[0] * in_.grad_layout.row();
    const Span& row = rows_[static_cast<std::size_t>(oy)];
    for (std::int64_t ox = 0, end = 0; ox < out_.layout.w; ox = end) {
      const Span& column = columns_[static_cast<std::size_t>(ox)];
      for (end = ox + 1; end < out_.layout.w && column.goes_on(columns_[static_cast<std::size_t>(end)]);) ++end;
      PoolArgs args = shared;
      args.windows = end - ox;
      args.rows = row.inside();
      args.columns = column.inside();
      args.scale =
          1.0f / static_cast<float>(count_include_pad_ ? row.padded * column.padded : args.rows * args.columns);
      f(args, Run{row.begin, column.begin, oy, ox});
    }
  }

  Window window_;
  bool maximum_, count_include_pad_;
  Value& in_;
  Value& out_;
  std::vector<Span> rows_, columns_;
};

class GlobalAveragePool : public Step {
 public:
  GlobalAveragePool(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const float scale = 1.0f / static_cast<float>(in.h * in.w);
    context.parallel(in.n * in.blocks(), [&](std::int64_t plane, int) {
      const std::int64_t n = plane / in.blocks(), b = plane % in.blocks();
      const float* x = in_.data + in.at(n, b);
      float sums[16] = {};
      for (std::int64_t y = 0; y < in.h; ++y) {
        for (std::int64_t i = 0; i < in.w * in.block; i += in.block) {
          for (int lane = 0; lane < in.block; ++lane) sums[lane] += x[y * in.row() + i + lane];
        }
      }
      float* to = out_.data + out.at(n, b);
      for (int lane = 0; lane < in.block; ++lane) to[lane] = sums[lane] * scale;
    });
  }

  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& dx = in_.grad_layout;
    const Layout& dy = out_.grad_layout;
    const float scale = 1.0f / static_cast<float>(dx.h * dx.w);
    context.parallel(dx.n * dx.blocks(), [&](std::int64_t plane, int) {
      const std::int64_t n = plane / dx.blocks(), b = plane % dx.blocks();
      const float* from = out_.grad + dy.at(n, b);
      float* to = in_.grad + dx.at(n, b);
      for (std::int64_t y = 0; y < dx.h; ++y) {
        for (std::int64_t i = 0; i < dx.w * dx.block; ++i) {
          float& at = to[y * dx.row() + i];
          const float value = from[i % dx.block] * scale;
          deposit(at, value, accumulate[0]);
        }
      }
    });
  }

 private:
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_pool(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Pool>(spec, resources);
}

std::unique_ptr<Step> make_global_average_pool(const StepSpec& spec, StepResources resources) {
  return std::make_unique<GlobalAveragePool>(spec, resources);
}

}  // namespace polyadic

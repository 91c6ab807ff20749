// Maximum and average pooling over windows, and the average over a whole map.
#include <algorithm>
#include <utility>
#include <vector>

#include "../core/dispatch.h"
#include "../core/status.h"
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
    whole_ = whole_windows(window_, in_.layout.w, out_.layout.w);
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const PoolRow kernel = maximum_ ? kernels().pool.maximum : kernels().pool.average;
    const std::int64_t columns = window_.strides[1], before = std::min(whole_.first, out.w);
    context.parallel(in.planes() * out.h, [&](std::int64_t index, int) {
      const std::int64_t plane = index / out.h, oy = index % out.h;
      const std::int64_t n = plane / in.blocks(), b = plane % in.blocks();
      const float* x = in_.data + in.at(n, b);
      float* y = out_.data + out.at(n, b);
      const Span rows = window_span(window_, 0, oy, in.h);
      PoolArgs args{};
      args.x_row = rows.step * in.row();
      args.x_column = window_.dilations[1] * in.block;
      args.x_step = columns * in.block;
      args.rows = rows.inside();
      const auto run = [&](std::int64_t ox, std::int64_t pixels) {
        const Span span = window_span(window_, 1, ox, in.w);
        args.columns = span.inside();
        args.x = x + in.pixel(rows.begin, span.begin);
        args.y = y + out.pixel(oy, ox);
        args.pixels = pixels;
        args.scale =
            1.0f / static_cast<float>(count_include_pad_ ? rows.padded * span.padded : args.rows * args.columns);
        kernel(args);
      };
      for (std::int64_t ox = 0; ox < before; ++ox) run(ox, 1);
      if (whole_.second > before) run(before, whole_.second - before);
      for (std::int64_t ox = std::max(before, whole_.second); ox < out.w; ++ox) run(ox, 1);
    });
  }

  // Windows overlap, so a plane (image, channel block) belongs to one job and is cleared first.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& dx_layout = in_.grad_layout;
    const Layout& dy_layout = out_.grad_layout;
    const int block = in_.layout.block;
    if (!accumulate[0]) {
      each_row(context, dx_layout, dx_layout, [&](std::int64_t at, std::int64_t, std::int64_t count) {
        std::fill(in_.grad + at, in_.grad + at + count, 0.0f);
      });
    }
    const std::vector<Span> rows = spans(0, out_.layout.h, in_.layout.h),
                            columns = spans(1, out_.layout.w, in_.layout.w);
    const TrainingKernels& kernel = kernels().training;
    const auto run = maximum_ ? kernel.max_pool_gradient : kernel.average_pool_gradient;
    const std::int64_t blocks = in_.layout.blocks();
    context.parallel(in_.layout.n * blocks, [&](std::int64_t plane, int) {
      const std::int64_t n = plane / blocks, b = plane % blocks;
      const float* x = in_.data + in_.layout.at(n, b);
      const float* y = out_.data + out_.layout.at(n, b);
      const float* dy = out_.grad + dy_layout.at(n, b);
      float* dx = in_.grad + dx_layout.at(n, b);
      PoolGradientArgs args{};
      args.x_column = window_.dilations[1] * block;
      args.dx_column = window_.dilations[1] * block;
      args.x_row = window_.dilations[0] * in_.layout.row();
      args.dx_row = window_.dilations[0] * dx_layout.row();
      for (std::int64_t oy = 0; oy < out_.layout.h; ++oy) {
        const Span& row = rows[static_cast<std::size_t>(oy)];
        for (std::int64_t ox = 0; ox < out_.layout.w; ++ox) {
          const Span& column = columns[static_cast<std::size_t>(ox)];
          args.rows = row.inside();
          args.columns = column.inside();
          args.x = x + in_.layout.pixel(row.begin, column.begin);
          args.dx = dx + dx_layout.pixel(row.begin, column.begin);
          args.y = y + out_.layout.pixel(oy, ox);
          args.dy = dy + dy_layout.pixel(oy, ox);
          args.scale =
              1.0f / static_cast<float>(count_include_pad_ ? row.padded * column.padded : args.rows * args.columns);
          run(args);
        }
      }
    });
  }

 private:
  std::vector<Span> spans(std::size_t axis, std::int64_t count, std::int64_t extent) const {
    std::vector<Span> list;
    for (std::int64_t i = 0; i < count; ++i) list.push_back(window_span(window_, axis, i, extent));
    return list;
  }

  // [first, last) of the outputs along a row whose windows lie in the input from end to end.
  static std::pair<std::int64_t, std::int64_t> whole_windows(const Window& window, std::int64_t extent,
                                                             std::int64_t count) {
    const auto whole = [&](std::int64_t i) {
      const std::int64_t first = i * window.strides[1] - window.pads[1];
      return first >= 0 && first + (window.kernel[1] - 1) * window.dilations[1] < extent;
    };
    std::int64_t first = 0;
    while (first < count && !whole(first)) ++first;
    std::int64_t last = first;
    while (last < count && whole(last)) ++last;
    return {first, last};
  }

  Window window_;
  bool maximum_, count_include_pad_;
  std::pair<std::int64_t, std::int64_t> whole_;
  Value& in_;
  Value& out_;
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

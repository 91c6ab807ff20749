// Maxout over groups of channels, where it is not part of a convolution.
#include <algorithm>

#include "../core/status.h"
#include "step.h"

namespace polyadic {
namespace {

constexpr std::int64_t kMaxPieces = 64;

class MaxoutStep : public Step {
 public:
  MaxoutStep(const StepSpec& spec, StepResources resources)
      : maxout_(spec.maxout),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {}

  void forward(const Context& context) override {
    each_channel_row(
        context, [&](const float* const* x, std::int64_t, std::int64_t, std::int64_t, float* y, std::int64_t width) {
          const std::int64_t in_step = in_.layout.block, out_step = out_.layout.block;
          for (std::int64_t i = 0; i < width; ++i) {
            float best = x[0][i * in_step];
            for (std::int64_t j = 1; j < maxout_.pieces; ++j) best = std::max(best, x[j][i * in_step]);
            y[i * out_step] = best;
          }
        });
  }

  // The gradient goes to the first piece that holds the maximum.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    each_channel_row(context, [&](const float* const* x, std::int64_t n, std::int64_t o, std::int64_t row, float*,
                                  std::int64_t width) {
      const Layout& dy_layout = out_.grad_layout;
      const Layout& dx_layout = in_.grad_layout;
      const float* dy = out_.grad + dy_layout.at(n) + dy_layout.channel(o) + dy_layout.pixel(row, 0);
      float* dx = in_.grad + dx_layout.at(n) + dx_layout.pixel(row, 0);
      float* to[kMaxPieces];
      for (std::int64_t j = 0; j < maxout_.pieces; ++j)
        to[j] = dx + dx_layout.channel(maxout_.channel(o, j, in_.layout.c));
      const std::int64_t x_step = in_.layout.block, dx_step = dx_layout.block, dy_step = dy_layout.block;
      const bool add = accumulate[0];
      for (std::int64_t i = 0; i < width; ++i) {
        std::int64_t best = 0;
        for (std::int64_t j = 1; j < maxout_.pieces; ++j) {
          best = x[j][i * x_step] > x[best][i * x_step] ? j : best;
        }
        for (std::int64_t j = 0; !add && j < maxout_.pieces; ++j) to[j][i * dx_step] = 0;
        to[best][i * dx_step] += dy[i * dy_step];
      }
    });
  }

 private:
  // f(pointers to the row of each piece, image, output channel, row, pointer to the output row, width)
  template <class F>
  void each_channel_row(const Context& context, F&& f) const {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    context.parallel(out.n * out.c, [&](std::int64_t index, int) {
      const std::int64_t n = index / out.c, o = index % out.c;
      for (std::int64_t y = 0; y < out.h; ++y) {
        const float* x[kMaxPieces];
        for (std::int64_t j = 0; j < maxout_.pieces; ++j) {
          x[j] = in_.data + in.at(n) + in.channel(maxout_.channel(o, j, in.c)) + in.pixel(y, 0);
        }
        f(x, n, o, y, out_.data + out.at(n) + out.channel(o) + out.pixel(y, 0), out.w);
      }
    });
  }

  Maxout maxout_;
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_maxout(const StepSpec& spec, StepResources resources) {
  if (spec.maxout.pieces > kMaxPieces) throw Error(ErrorCode::unsupported, "maxout: more than 64 pieces");
  return std::make_unique<MaxoutStep>(spec, resources);
}

}  // namespace polyadic

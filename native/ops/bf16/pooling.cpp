// Pooling where the input or the output is kept in bfloat16; sums are float32.
#include <algorithm>
#include <vector>

#include "../../core/bf16.h"
#include "../../core/dispatch.h"
#include "../../core/status.h"
#include "../geometry.h"
#include "../step.h"

namespace polyadic {
namespace {

class Bf16PoolStep : public Step {
 public:
  Bf16PoolStep(const StepSpec& spec, StepResources resources)
      : window_(spec.window),
        maximum_(spec.op == Op::max_pool),
        count_include_pad_(spec.count_include_pad),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    if (in.block == 1 || out.block == 1 || in.c != out.c) throw Error(ErrorCode::shape, "pool: channels differ");
    if (spec.op == Op::global_average_pool) window_.kernel = {in.h, in.w};
    for (std::int64_t y = 0; y < out.h; ++y) rows_.push_back(window_span(window_, 0, y, in.h));
    for (std::int64_t x = 0; x < out.w; ++x) columns_.push_back(window_span(window_, 1, x, in.w));
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const auto run = bf16_kernels().pool[in_.bf16][out_.bf16];
    const std::int64_t strips = bf16_strips(out);
    context.parallel(in.n * strips, [&](std::int64_t index, int) {
      const std::int64_t n = index / strips, strip = index % strips;
      const std::int64_t from = in.at(n) + bf16_strip(in, strip), to = out.at(n) + bf16_strip(out, strip);
      Bf16PoolArgs args{};
      args.src_step = window_.strides[1] * in.block;
      args.dst_step = out.block;
      args.src_row = window_.dilations[0] * in.row();
      args.src_column = window_.dilations[1] * in.block;
      args.maximum = maximum_;
      args.block = bf16_lanes();
      for (std::int64_t y = 0; y < out.h; ++y) {
        const Span& row = rows_[static_cast<std::size_t>(y)];
        for (std::int64_t x = 0; x < out.w; x += args.pixels) {
          const Span& column = columns_[static_cast<std::size_t>(x)];
          args.pixels = alike(x);
          args.rows = row.inside();
          args.columns = column.inside();
          args.count = static_cast<float>(count_include_pad_ ? row.padded * column.padded : args.rows * args.columns);
          args.src = in_.at(from + in.pixel(row.begin, column.begin));
          args.dst = out_.at(to + out.pixel(y, x));
          run(args);
        }
        if (out_.bf16 && !in_.bf16) clear_unused_lanes(out, strip, out_.half() + to + out.pixel(y, 0), out.w);
      }
    });
  }

  std::string kernel() const override { return "bf16"; }

 private:
  // How many windows from column x on are as wide as that one, a stride apart.
  std::int64_t alike(std::int64_t x) const {
    const Span& first = columns_[static_cast<std::size_t>(x)];
    std::int64_t count = 1;
    for (; x + count < out_.layout.w; ++count) {
      const Span& next = columns_[static_cast<std::size_t>(x + count)];
      if (next.inside() != first.inside() || next.padded != first.padded ||
          next.begin != first.begin + count * window_.strides[1])
        break;
    }
    return count;
  }

  Window window_;
  bool maximum_, count_include_pad_;
  Value& in_;
  Value& out_;
  std::vector<Span> rows_, columns_;
};

}  // namespace

std::unique_ptr<Step> make_bf16_pool(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16PoolStep>(spec, resources);
}

}  // namespace polyadic

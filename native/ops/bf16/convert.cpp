// From float32 to bfloat16 or back, between steps that keep their values differently.
#include "../../core/bf16.h"
#include "../../core/dispatch.h"
#include "../../core/status.h"
#include "../step.h"

namespace polyadic {
namespace {

class Convert : public Step {
 public:
  Convert(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    if (in_.bf16 == out_.bf16 || in_.layout.block != out_.layout.block)
      throw Error(ErrorCode::argument, "convert: needs values of the two kinds, blocked alike");
  }

  void forward(const Context& context) override {
    const Bf16Kernels& table = bf16_kernels();
    const Layout& out = out_.layout;
    each_row(context, in_.layout, out, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
      if (in_.bf16) return table.widen(in_.half() + from, out_.data + to, count);
      table.round(in_.data + from, out_.half() + to, count);
    });
    if (in_.bf16 || out.c % out.block == 0) return;
    // Pairs read beyond the last channel, with a weight of 0: there must be a number.
    context.parallel(out.n, [&](std::int64_t n, int) {
      for (std::int64_t y = 0; y < out.h; ++y) {
        Bf16* row = out_.half() + out.at(n, out.blocks() - 1) + y * out.row();
        for (std::int64_t x = 0; x < out.w; ++x)
          std::fill(row + x * out.block + out.c % out.block, row + (x + 1) * out.block, Bf16{0});
      }
    });
  }

  std::string kernel() const override { return in_.bf16 ? "bf16 to f32" : "f32 to bf16"; }

 private:
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_convert(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Convert>(spec, resources);
}

}  // namespace polyadic

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
    const int lanes = bf16_lanes();
    if (in_.bf16 == out_.bf16 || in_.layout.block % lanes != 0 || out_.layout.block % lanes != 0)
      throw Error(ErrorCode::argument, "convert: needs blocked values of the two kinds");
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const std::int64_t strips = bf16_strips(out);
    const Bf16Strip run = in_.bf16 ? bf16_kernels().widen_strip : bf16_kernels().round_strip;
    context.parallel(out.n * strips, [&](std::int64_t index, int) {
      const std::int64_t n = index / strips, strip = index % strips;
      Bf16StripArgs args{nullptr, nullptr, out.w, in.block, out.block, bf16_lanes()};
      for (std::int64_t y = 0; y < out.h; ++y) {
        const std::int64_t from = in.at(n) + bf16_strip(in, strip) + in.pixel(y, 0);
        const std::int64_t to = out.at(n) + bf16_strip(out, strip) + out.pixel(y, 0);
        args.src = in_.at(from);
        args.dst = out_.at(to);
        run(args);
        if (out_.bf16) clear_unused_lanes(out, strip, out_.half() + to, out.w);
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

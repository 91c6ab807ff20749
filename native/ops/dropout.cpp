// Dropout: in training each value is kept with probability 1 − ratio, and then divided by that.
#include "../core/status.h"
#include "step.h"

namespace polyadic {
namespace {

// SplitMix64's finaliser: what is dropped depends on the step's seed, the operator and the place, on nothing else.
std::uint64_t scrambled(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class Dropout : public Step {
 public:
  Dropout(const StepSpec& spec, StepResources resources)
      : ratio_(spec.ratio),
        place_(scrambled(static_cast<std::uint64_t>(spec.output))),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    if (!(ratio_ >= 0 && ratio_ < 1)) throw Error(ErrorCode::argument, "dropout: expected a ratio from 0 to below 1");
  }

  void forward(const Context& context) override {
    active_ = context.training() && ratio_ > 0;
    seed_ = context.seed();
    move(context, in_.layout, out_.layout,
         [&](std::int64_t in, std::int64_t out, float factor) { out_.data[out] = in_.data[in] * factor; });
  }

  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    move(context, in_.grad_layout, out_.grad_layout, [&](std::int64_t in, std::int64_t out, float factor) {
      deposit(in_.grad[in], out_.grad[out] * factor, accumulate[0]);
    });
  }

 private:
  // f(place in a, place in b, factor) for each element, which has the same number whatever the layouts.
  template <class F>
  void move(const Context& context, const Layout& a, const Layout& b, F&& f) const {
    const float kept = 1.0f / (1.0f - ratio_);
    const std::uint64_t limit = static_cast<std::uint64_t>(static_cast<double>(ratio_) * 18446744073709551616.0);
    const std::uint64_t start = scrambled(seed_ ^ place_);
    const std::int64_t before = context.first_image() * a.c;
    context.parallel(a.n * a.c, [&](std::int64_t plane, int) {
      const std::int64_t n = plane / a.c, c = plane % a.c;
      std::uint64_t number = start + static_cast<std::uint64_t>((before + plane) * a.h * a.w);
      for (std::int64_t y = 0; y < a.h; ++y) {
        for (std::int64_t x = 0; x < a.w; ++x, ++number) {
          const float factor = !active_ ? 1.0f : scrambled(number) < limit ? 0.0f : kept;
          f(a.at(n) + a.channel(c) + a.pixel(y, x), b.at(n) + b.channel(c) + b.pixel(y, x), factor);
        }
      }
    });
  }

  float ratio_;
  std::uint64_t place_;
  Value& in_;
  Value& out_;
  bool active_ = false;
  std::uint64_t seed_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_dropout(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Dropout>(spec, resources);
}

}  // namespace polyadic

// Flatten and concat of values in bfloat16: nothing is computed, only moved. Lanes beyond the last channel are zeros.
#include <algorithm>
#include <vector>

#include "../../core/status.h"
#include "../step.h"

namespace polyadic {
namespace {

void need_bf16(const Value& value, const char* what) {
  if (!value.bf16) throw Error(ErrorCode::argument, std::string(what) + ": its values must all be bf16 or none");
}

class Bf16Flatten : public Step {
 public:
  Bf16Flatten(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    need_bf16(in_, "flatten");
    need_bf16(out_, "flatten");
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    context.parallel(in.n, [&](std::int64_t n, int) {
      const Bf16* from = in_.half() + in.at(n);
      Bf16* to = out_.half() + out.at(n);
      Bf16* last = to + (out.blocks() - 1) * out.plane();
      std::fill(last, last + out.block, Bf16{0});
      std::int64_t channel = 0;
      for (std::int64_t c = 0; c < in.c; ++c) {
        for (std::int64_t y = 0; y < in.h; ++y) {
          const Bf16* row = from + in.channel(c) + in.pixel(y, 0);
          for (std::int64_t x = 0; x < in.w; ++x) to[out.channel(channel++)] = row[x * in.block];
        }
      }
    });
  }

  std::string kernel() const override { return "bf16"; }

 private:
  Value& in_;
  Value& out_;
};

class Bf16Concat : public Step {
 public:
  Bf16Concat(const StepSpec& spec, StepResources resources)
      : out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    for (const int input : spec.inputs) inputs_.push_back(&resources.values[static_cast<std::size_t>(input)]);
    for (const Value* in : inputs_) need_bf16(*in, "concat");
    need_bf16(out_, "concat");
  }

  void forward(const Context& context) override {
    const Layout& out = out_.layout;
    context.parallel(out.n * out.h, [&](std::int64_t index, int) {
      const std::int64_t n = index / out.h, y = index % out.h;
      Bf16* to = out_.half() + out.at(n) + out.pixel(y, 0);
      std::int64_t first = 0;
      for (const Value* in : inputs_) {
        const Bf16* from = in->half() + in->layout.at(n) + in->layout.pixel(y, 0);
        for (std::int64_t c = 0; c < in->layout.c; ++c)
          move(from + in->layout.channel(c), in->layout.block, to + out.channel(first + c));
        first += in->layout.c;
      }
      const Bf16 zero = 0;
      for (; first < out.blocks() * out.block; ++first) move(&zero, 0, to + out.channel(first));
    });
  }

  std::string kernel() const override { return "bf16"; }

 private:
  // A row of one channel.
  void move(const Bf16* from, std::int64_t step, Bf16* to) const {
    for (std::int64_t x = 0; x < out_.layout.w; ++x) to[x * out_.layout.block] = from[x * step];
  }

  Value& out_;
  std::vector<const Value*> inputs_;
};

}  // namespace

std::unique_ptr<Step> make_bf16_flatten(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16Flatten>(spec, resources);
}

std::unique_ptr<Step> make_bf16_concat(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16Concat>(spec, resources);
}

}  // namespace polyadic

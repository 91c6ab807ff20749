// Between blocked channels and dense N×C×H×W.
#include <algorithm>
#include <cstring>

#include "../../core/status.h"
#include "dense.h"

namespace polyadic {
namespace {

class Conversion : public Step {
 public:
  Conversion(const StepSpec& spec, StepResources resources)
      : to_dense_(spec.op == Op::to_dense),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const Layout& l = blocked().layout;
    if (dense().layout.size() != l.n * l.c * l.h * l.w)
      throw Error(ErrorCode::argument, "conversion: both values must have the same number of elements");
  }

  // A job is a channel block of an image.
  void forward(const Context& context) override {
    const Layout& layout = blocked().layout;
    const std::int64_t blocks = layout.blocks(), area = layout.h * layout.w;
    context.parallel(layout.n * blocks, [&](std::int64_t job, int) {
      const std::int64_t n = job / blocks, first = job % blocks * layout.block;
      const std::int64_t channels = std::min<std::int64_t>(layout.block, layout.c - first);
      float* packed = blocked().data + layout.at(n, job % blocks);
      float* plain = dense().data + (n * layout.c + first) * area;
      for (std::int64_t y = 0; y < layout.h; ++y) {
        if (to_dense_) {
          unpack(packed + y * layout.row(), plain + y * layout.w, area, channels);
        } else {
          pack(plain + y * layout.w, packed + y * layout.row(), area, channels);
        }
      }
    });
  }

 private:
  const Value& blocked() const { return to_dense_ ? in_ : out_; }
  const Value& dense() const { return to_dense_ ? out_ : in_; }

  void pack(const float* from, float* to, std::int64_t area, std::int64_t channels) const {
    const int block = out_.layout.block;
    if (channels < block) std::memset(to, 0, static_cast<std::size_t>(out_.layout.w * block) * sizeof(float));
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t x = 0; x < out_.layout.w; ++x) to[x * block + c] = from[c * area + x];
    }
  }

  void unpack(const float* from, float* to, std::int64_t area, std::int64_t channels) const {
    const int block = in_.layout.block;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t x = 0; x < in_.layout.w; ++x) to[c * area + x] = from[x * block + c];
    }
  }

  bool to_dense_;
  Value& in_;
  Value& out_;
};

}  // namespace

std::unique_ptr<Step> make_conversion(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Conversion>(spec, resources);
}

}  // namespace polyadic

// A sparse linear map along one axis of outer×size×inner: resizing by any of ONNX's modes.
#include <algorithm>

#include "../../core/status.h"
#include "dense.h"

namespace polyadic {
namespace {

// sizes: outer, size, inner, taps. tables[0]: taps positions an output, numbers: their weights.
class Interpolate : public DenseStep {
 public:
  Interpolate(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(4);
    size_ = spec_.sizes[1];
    inner_ = spec_.sizes[2];
    taps_ = spec_.sizes[3];
    if (taps_ < 1 || spec_.tables.size() != 1 || spec_.tables[0].size() != spec_.numbers.size() ||
        spec_.tables[0].size() % static_cast<std::size_t>(taps_) != 0) {
      throw Error(ErrorCode::argument, "interpolate: a position and a weight for each tap are needed");
    }
    for (const std::int64_t position : spec_.tables[0]) {
      if (position < 0 || position >= size_) throw Error(ErrorCode::argument, "interpolate: a position out of range");
    }
    outputs_ = static_cast<std::int64_t>(spec_.tables[0].size()) / taps_;
    expect_count(in(), product({spec_.sizes[0], size_, inner_}), "interpolate");
    expect_count(out_, product({spec_.sizes[0], outputs_, inner_}), "interpolate");
  }

  void forward(const Context& context) override {
    if (inner_ == 0) return;
    // Jobs of some length, so that a single axis of single elements is not one job an element.
    const std::int64_t chunk = std::max<std::int64_t>(1, 4096 / inner_);
    const std::int64_t chunks = (outputs_ + chunk - 1) / chunk;
    context.parallel(spec_.sizes[0] * chunks, [&](std::int64_t job, int) {
      const float* x = in().data + job / chunks * size_ * inner_;
      float* y = out_.data + job / chunks * outputs_ * inner_;
      const std::int64_t first = job % chunks * chunk;
      for (std::int64_t i = first; i < std::min(outputs_, first + chunk); ++i) output(i, x, y + i * inner_);
    });
  }

  // A job is a strip of columns: all that is summed of it.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to || inner_ == 0) return;
    constexpr std::int64_t kStrip = 1024;
    const std::int64_t strips = (inner_ + kStrip - 1) / kStrip;
    context.parallel(spec_.sizes[0] * strips, [&](std::int64_t job, int) {
      const std::int64_t first = job % strips * kStrip, width = std::min(kStrip, inner_ - first);
      float* dx = to + job / strips * size_ * inner_ + first;
      const float* dy = out_.grad + job / strips * outputs_ * inner_ + first;
      for (std::int64_t i = 0; i < outputs_ * taps_; ++i) {
        const float weight = spec_.numbers[static_cast<std::size_t>(i)];
        if (weight == 0) continue;
        float* sum = dx + spec_.tables[0][static_cast<std::size_t>(i)] * inner_;
        const float* from = dy + i / taps_ * inner_;
        for (std::int64_t j = 0; j < width; ++j) sum[j] += weight * from[j];
      }
    });
  }

 private:
  void output(std::int64_t index, const float* x, float* y) const {
    const std::int64_t* positions = spec_.tables[0].data() + index * taps_;
    const float* weights = spec_.numbers.data() + index * taps_;
    const float* first = x + positions[0] * inner_;
    for (std::int64_t j = 0; j < inner_; ++j) y[j] = weights[0] * first[j];
    for (std::int64_t tap = 1; tap < taps_; ++tap) {
      const float weight = weights[tap];
      if (weight == 0) continue;
      const float* from = x + positions[tap] * inner_;
      for (std::int64_t j = 0; j < inner_; ++j) y[j] += weight * from[j];
    }
  }

  std::int64_t size_ = 0, inner_ = 0, taps_ = 0, outputs_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_interpolate(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Interpolate>(spec, resources);
}

}  // namespace polyadic

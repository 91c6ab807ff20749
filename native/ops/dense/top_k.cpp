// The k largest or smallest elements along an axis, ordered, then their indices.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "../../core/status.h"
#include "dense.h"

namespace polyadic {
namespace {

constexpr std::int64_t kMostExact = std::int64_t{1} << 24;  // float32 holds every integer up to it

// sizes: outer, size, inner, k. flags: largest. Output: outer×k×inner values, then as many indices.
class TopK : public DenseStep {
 public:
  TopK(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(4);
    size_ = spec_.sizes[1];
    inner_ = spec_.sizes[2];
    k_ = spec_.sizes[3];
    if (k_ > size_) throw Error(ErrorCode::argument, "top_k: k is larger than the axis");
    expect_count(in(), product({spec_.sizes[0], size_, inner_}), "top_k");
    expect_count(out_, product({2, spec_.sizes[0], k_, inner_}), "top_k");
    // The backward pass finds elements by the indices in the output: larger ones are rounded there.
    if (out_.needs_grad && size_ > kMostExact)
      throw Error(ErrorCode::unsupported, "top_k: the axis is too long to train through");
    orders_.assign(1, {});
  }

  void forward(const Context& context) override {
    orders_.resize(static_cast<std::size_t>(context.threads()));
    for (std::vector<std::int64_t>& order : orders_) order.resize(static_cast<std::size_t>(size_));
    float* indices = out_.data + spec_.sizes[0] * k_ * inner_;
    context.parallel(spec_.sizes[0] * inner_, [&](std::int64_t job, int thread) {
      const std::int64_t outer = job / inner_, column = job % inner_;
      const float* x = in().data + outer * size_ * inner_ + column;
      std::vector<std::int64_t>& order = orders_[static_cast<std::size_t>(thread)];
      std::iota(order.begin(), order.end(), std::int64_t{0});
      // NaN is larger than anything, as NumPy sorts; of equal elements the first one comes first.
      std::partial_sort(order.begin(), order.begin() + k_, order.end(), [&](std::int64_t a, std::int64_t b) {
        const float left = x[a * inner_], right = x[b * inner_];
        if (std::isnan(left) != std::isnan(right)) return std::isnan(left) == spec_.flags[0];
        if (left < right || left > right) return spec_.flags[0] == (left > right);
        return a < b;
      });
      for (std::int64_t i = 0; i < k_; ++i) {
        const std::int64_t at = (outer * k_ + i) * inner_ + column;
        out_.data[at] = x[order[static_cast<std::size_t>(i)] * inner_];
        indices[at] = static_cast<float>(order[static_cast<std::size_t>(i)]);
      }
    });
  }

  // A value's gradient goes to the element that it is; indices have none.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to) return;
    const float* indices = out_.data + spec_.sizes[0] * k_ * inner_;
    context.parallel(spec_.sizes[0] * inner_, [&](std::int64_t job, int) {
      const std::int64_t outer = job / inner_, column = job % inner_;
      float* dx = to + outer * size_ * inner_ + column;
      for (std::int64_t i = 0; i < k_; ++i) {
        const std::int64_t at = (outer * k_ + i) * inner_ + column;
        dx[static_cast<std::int64_t>(indices[at]) * inner_] += out_.grad[at];
      }
    });
  }

 private:
  std::int64_t size_ = 0, inner_ = 0, k_ = 0;
  std::vector<std::vector<std::int64_t>> orders_;  // one a thread
};

}  // namespace

std::unique_ptr<Step> make_top_k(const StepSpec& spec, StepResources resources) {
  return std::make_unique<TopK>(spec, resources);
}

}  // namespace polyadic

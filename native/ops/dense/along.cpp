// Along one axis of outer×size×inner: softmax, log-softmax, hardmax, cumulative sums.
#include <cmath>

#include "../../core/dispatch.h"
#include "../../core/status.h"
#include "dense.h"
#include "larger.h"

namespace polyadic {
namespace {

class Along : public DenseStep {
 public:
  enum class Kind { softmax, log_softmax, hardmax, cumulative_sum };

  Along(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(3);
    outer_ = spec_.sizes[0];
    size_ = spec_.sizes[1];
    inner_ = spec_.sizes[2];
    expect_count(in(), product(spec_.sizes), "along");
    expect_count(out_, product(spec_.sizes), "along");
    const std::string& name = spec_.function;
    if (name == "softmax") {
      kind_ = Kind::softmax;
    } else if (name == "log_softmax") {
      kind_ = Kind::log_softmax;
    } else if (name == "hardmax") {
      kind_ = Kind::hardmax;
    } else if (name == "cumulative_sum") {
      kind_ = Kind::cumulative_sum;
    } else {
      throw Error(ErrorCode::argument, "along: unknown function \"" + name + "\"");
    }
  }

  void forward(const Context& context) override {
    each_vector(context, [&](std::int64_t at) {
      const float* x = in().data + at;
      float* y = out_.data + at;
      if (kind_ == Kind::cumulative_sum) {
        cumulate(x, y);
      } else {
        normalise(x, y);
      }
    });
  }

  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to || kind_ == Kind::hardmax) return;
    each_vector(context, [&](std::int64_t at) {
      if (kind_ == Kind::cumulative_sum) {
        cumulate_back(out_.grad + at, to + at);
      } else {
        normalise_back(out_.data + at, out_.grad + at, to + at);
      }
    });
  }

  std::string kernel() const override { return spec_.function; }

 private:
  // A job is up to kColumns neighbouring vectors, so that strided ones still read whole cache lines.
  template <class F>
  void each_vector(const Context& context, F&& f) const {
    constexpr std::int64_t kColumns = 16;
    const std::int64_t groups = (inner_ + kColumns - 1) / kColumns;
    context.parallel(outer_ * groups, [&](std::int64_t job, int) {
      const std::int64_t first = job % groups * kColumns;
      const std::int64_t at = job / groups * size_ * inner_ + first;
      for (std::int64_t column = 0; column < std::min(kColumns, inner_ - first); ++column) f(at + column);
    });
  }

  // f(i, e^(x_i − base)) for each i of a vector.
  template <class F>
  void each_exponential(const float* x, float base, F&& f) const {
    constexpr std::int64_t kBlock = 256;
    float block[kBlock];
    for (std::int64_t first = 0; first < size_; first += kBlock) {
      const std::int64_t count = std::min(kBlock, size_ - first);
      for (std::int64_t i = 0; i < count; ++i) block[i] = x[(first + i) * inner_] - base;
      kernels().functions.exp(block, block, count);
      for (std::int64_t i = 0; i < count; ++i) f(first + i, block[i]);
    }
  }

  // softmax: dx = y·(dy − Σ dy·y); log-softmax: dx = dy − e^y·Σ dy
  void normalise_back(const float* y, const float* dy, float* dx) const {
    const bool logarithm = kind_ == Kind::log_softmax;
    double sum = 0;
    for (std::int64_t i = 0; i < size_; ++i)
      sum += static_cast<double>(dy[i * inner_]) * (logarithm ? 1.0 : static_cast<double>(y[i * inner_]));
    const float whole = static_cast<float>(sum);
    if (logarithm) {
      return each_exponential(y, 0.0f, [&](std::int64_t i, float e) { dx[i * inner_] += dy[i * inner_] - e * whole; });
    }
    for (std::int64_t i = 0; i < size_; ++i) dx[i * inner_] += y[i * inner_] * (dy[i * inner_] - whole);
  }

  // The sum from the other end.
  void cumulate_back(const float* dy, float* dx) const {
    double sum = 0;
    for (std::int64_t k = 0; k < size_; ++k) {
      const std::int64_t i = spec_.flags[1] ? k : size_ - 1 - k;
      const double value = static_cast<double>(dy[i * inner_]);
      dx[i * inner_] += static_cast<float>(spec_.flags[0] ? sum : sum + value);
      sum += value;
    }
  }

  void normalise(const float* x, float* y) const {
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < size_; ++i) {
      if (is_larger(x[i * inner_], x[best * inner_])) best = i;
    }
    const float largest = x[best * inner_];
    if (kind_ == Kind::hardmax) {
      for (std::int64_t i = 0; i < size_; ++i) y[i * inner_] = i == best ? 1.0f : 0.0f;
      return;
    }
    double sum = 0;
    each_exponential(x, largest, [&](std::int64_t i, float e) {
      sum += static_cast<double>(e);
      if (kind_ == Kind::softmax) y[i * inner_] = e;
    });
    if (kind_ == Kind::softmax) {
      const float scale = static_cast<float>(1 / sum);
      for (std::int64_t i = 0; i < size_; ++i) y[i * inner_] *= scale;
    } else {
      const float log_sum = static_cast<float>(std::log(sum));
      for (std::int64_t i = 0; i < size_; ++i) y[i * inner_] = x[i * inner_] - largest - log_sum;
    }
  }

  // flags: exclusive, reverse
  void cumulate(const float* x, float* y) const {
    double sum = 0;
    for (std::int64_t k = 0; k < size_; ++k) {
      const std::int64_t i = spec_.flags[1] ? size_ - 1 - k : k;
      const double value = static_cast<double>(x[i * inner_]);
      y[i * inner_] = static_cast<float>(spec_.flags[0] ? sum : sum + value);
      sum += value;
    }
  }

  Kind kind_ = Kind::softmax;
  std::int64_t outer_ = 0, size_ = 0, inner_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_along(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Along>(spec, resources);
}

}  // namespace polyadic

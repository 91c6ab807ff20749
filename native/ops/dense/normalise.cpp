// Rows to mean 0 and variance 1: y = (x − mean) / √(variance + epsilon); behind the rows, where asked for, their means
// and inverse standard deviations. Without the mean: y = x / √(mean of squares + epsilon).
#include <algorithm>
#include <cmath>

#include "dense.h"

namespace polyadic {
namespace {

// sizes: rows, elements of a row. flags: statistics behind the output, mean left in. numbers: epsilon.
class Normalise : public DenseStep {
 public:
  Normalise(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(2);
    rows_ = spec_.sizes[0];
    size_ = spec_.sizes[1];
    expect_count(in(), product(spec_.sizes), "normalise");
    expect_count(out_, product(spec_.sizes) + (spec_.flags[0] ? 2 * rows_ : 0), "normalise");
    epsilon_ = spec_.numbers.empty() ? 0 : static_cast<double>(spec_.numbers[0]);
  }

  void forward(const Context& context) override {
    context.parallel(rows_, [&](std::int64_t row, int) {
      const float* x = in().data + row * size_;
      float* y = out_.data + row * size_;
      const auto [centre, factor] = statistics(x);
      for (std::int64_t i = 0; i < size_; ++i) y[i] = (x[i] - centre) * factor;
      if (!spec_.flags[0]) return;
      out_.data[rows_ * size_ + row] = centre;
      out_.data[rows_ * size_ + rows_ + row] = factor;
    });
  }

  // With r the inverse deviation: dx = r·(dy − mean(dy) − y·mean(dy·y)), without mean(dy) where the mean is left in;
  // and where the statistics are read: mean's part is 1/size, r's −r²·y/size.
  void backward(const Context& context) override {
    float* to = whole_gradient(0);
    if (!to) return;
    context.parallel(rows_, [&](std::int64_t row, int) {
      const float* y = out_.data + row * size_;
      const float* dy = out_.grad + row * size_;
      float* dx = to + row * size_;
      const double size = static_cast<double>(size_);
      const double factor = static_cast<double>(statistics(in().data + row * size_).factor);
      double sum = 0, product = 0;
      for (std::int64_t i = 0; i < size_; ++i) {
        sum += static_cast<double>(dy[i]);
        product += static_cast<double>(dy[i]) * static_cast<double>(y[i]);
      }
      double constant = spec_.flags[1] ? 0 : -factor * sum / size, slope = -factor * product / size;
      if (spec_.flags[0]) {
        const float* statistic = out_.grad + rows_ * size_ + row;
        if (!spec_.flags[1]) constant += static_cast<double>(statistic[0]) / size;
        slope -= factor * factor * static_cast<double>(statistic[rows_]) / size;
      }
      const bool add = accumulate[0];
      for (std::int64_t i = 0; i < size_; ++i) {
        const double change = factor * static_cast<double>(dy[i]) + constant + slope * static_cast<double>(y[i]);
        deposit(dx[i], static_cast<float>(change), add);
      }
    });
  }

 private:
  struct Statistics {
    float centre, factor;
  };

  Statistics statistics(const float* x) const {
    double mean = 0, squares = 0;
    if (!spec_.flags[1]) {
      for (std::int64_t i = 0; i < size_; ++i) mean += static_cast<double>(x[i]);
      mean /= static_cast<double>(size_);
    }
    for (std::int64_t i = 0; i < size_; ++i) {
      const double difference = static_cast<double>(x[i]) - mean;
      squares += difference * difference;
    }
    const double scale = 1 / std::sqrt(squares / static_cast<double>(size_) + epsilon_);
    return {static_cast<float>(mean), static_cast<float>(scale)};
  }

  std::int64_t rows_ = 0, size_ = 0;
  double epsilon_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_normalise(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Normalise>(spec, resources);
}

}  // namespace polyadic

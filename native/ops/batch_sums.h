// Sums over a whole batch, of which a step of a training plan may see one slice after another: they go on from slice to
// slice, and the bits do not depend on how the batch was cut.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "../core/buffer.h"
#include "context.h"
#include "step.h"

namespace polyadic {

// By channel, in float64; to be added to a gradient after the last slice.
class ChannelSums {
 public:
  ChannelSums() = default;
  explicit ChannelSums(std::int64_t channels) : sums_(static_cast<std::size_t>(channels)) {}

  // Those of `count` channels, zero in the first slice. Threads may take different channels at once.
  double* from(const Context& context, std::int64_t channel, std::int64_t count) {
    double* sums = sums_.data() + channel;
    if (context.first_slice()) std::fill_n(sums, count, 0.0);
    return sums;
  }

 private:
  std::vector<double> sums_;
};

// A step's part of the gradient of a parameter that others read as well, or that lies in another order.
class SharedGradient {
 public:
  SharedGradient() = default;
  // In the parameter's order.
  explicit SharedGradient(std::size_t count) : sums_(count) {}
  // Element i is the parameter's element order[i], or none where that is negative.
  explicit SharedGradient(std::vector<std::int32_t> order) : order_(std::move(order)), sums_(order_.size()) {}

  // To be added to; zero in the first slice.
  float* sums(const Context& context) {
    if (context.first_slice()) std::fill_n(sums_.data(), sums_.size(), 0.0f);
    return sums_.data();
  }
  // After the last slice; does nothing before.
  void add_to(const Context& context, Parameter& parameter) const {
    if (!context.last_slice()) return;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      const std::int32_t at = order_.empty() ? static_cast<std::int32_t>(i) : order_[i];
      if (at >= 0) parameter.grad[static_cast<std::size_t>(at)] += sums_[i];
    }
  }

 private:
  std::vector<std::int32_t> order_;
  Buffer sums_;
};

}  // namespace polyadic

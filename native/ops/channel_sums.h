// Sums by channel over a whole batch, of which a step of a training plan may see one slice after another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "context.h"

namespace polyadic {

// In float64, and added to a gradient after the last slice: the bits do not depend on how the batch was cut.
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

}  // namespace polyadic

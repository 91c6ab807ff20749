// How many images of a batch go through the whole network at a time.
#pragma once

#include <cstdint>
#include <string>

#include "plan_spec.h"

namespace polyadic {

// Few images at a time keep the values between two steps in the second-level cache; many at a time make more of each
// reading of the weights. Returns the number, from 1 to the batch, for which a small model of that traffic is least; in
// training the fewest, of those that divide the batch, for which it is nearly so. The whole batch when the images are
// not independent of each other, and what the spec says where it does. Throws Error(argument) where that cannot be.
struct Slices {
  std::int64_t images = 1;
  std::string why;  // empty where there is only one image, and nobody asked for one
};
Slices images_at_a_time(const PlanSpec& spec);

}  // namespace polyadic

// Places values that live at different times in the same memory.
#pragma once

#include <cstdint>
#include <vector>

namespace polyadic {

struct Lifetime {
  std::int64_t floats = 0;
  int first = 0, last = 0;  // steps between which the value must not be overwritten
  std::int64_t offset = 0;  // result
};

// Gives every value an offset; returns the floats needed in all. Largest first, each at the lowest place that is free
// during its whole life.
std::int64_t assign_arena(std::vector<Lifetime>& values);

}  // namespace polyadic

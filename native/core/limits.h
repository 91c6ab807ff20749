// A bound on sizes that come from outside.
#pragma once

#include <cstdint>

namespace polyadic {

// Of elements, and of what counts them or steps over them: nothing that is larger could be allocated.
constexpr std::int64_t kMostElements = std::int64_t{1} << 40;

}  // namespace polyadic

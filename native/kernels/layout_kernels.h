// Between planes of single channels, as ONNX has them, and blocks of channels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// to[p·block + c] = c < channels ? from[c·plane + p] : 0 for p < pixels, c < block; channels ≤ block.
using ToBlocked = void (*)(const float* from, std::ptrdiff_t plane, std::int64_t channels, std::int64_t pixels,
                           float* to);

// to[c·plane + p] = from[p·block + c] for p < pixels, c < channels; nothing else is written.
using FromBlocked = void (*)(const float* from, std::int64_t pixels, std::int64_t channels, float* to,
                             std::ptrdiff_t plane);

struct LayoutKernels {
  ToBlocked to_blocked;
  FromBlocked from_blocked;
};

}  // namespace polyadic

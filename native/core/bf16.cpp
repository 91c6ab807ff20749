#include "bf16.h"

#include <algorithm>

#include "dispatch.h"

namespace polyadic {
namespace {

constexpr std::int64_t kPixels = 64, kMaxBlock = 16;

// Pixels of one channel block, `channels` of them real, from planes `area` apart.
void round_pixels(const float* src, std::int64_t area, std::int64_t channels, std::int64_t block, std::int64_t pixels,
                  Bf16* dst) {
  float part[kPixels * kMaxBlock];
  for (std::int64_t x = 0; x < pixels; x += kPixels) {
    const std::int64_t count = std::min(kPixels, pixels - x);
    kernels().layout.to_blocked(src + x, area, channels, count, part);
    bf16_kernels().round(part, dst + x * block, count * block);
  }
}

}  // namespace

void from_nchw(const float* src, const Layout& layout, Bf16* dst, std::int64_t plane) {
  const std::int64_t area = layout.h * layout.w, block = layout.block;
  const std::int64_t n = plane / layout.blocks(), b = plane % layout.blocks();
  const std::int64_t channels = std::min(block, layout.c - b * block);
  const float* from = src + (n * layout.c + b * block) * area;
  Bf16* to = dst + layout.at(n, b);
  for (std::int64_t y = 0; y < layout.h; ++y, from += layout.w, to += layout.row()) {
    if (block == 1) {
      bf16_kernels().round(from, to, layout.w);
    } else {
      round_pixels(from, area, channels, block, layout.w, to);
    }
  }
}

}  // namespace polyadic

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

int bf16_lanes() { return kernels().f32.block; }
int bf16_block() { return bf16_kernels().matrix ? kMatrixDepth : bf16_lanes(); }
std::int64_t bf16_strips(const Layout& layout) { return (layout.c + bf16_lanes() - 1) / bf16_lanes(); }
std::int64_t bf16_strip(const Layout& layout, std::int64_t strip) { return layout.channel(strip * bf16_lanes()); }

void from_nchw(const float* src, const Layout& layout, Bf16* dst, std::int64_t plane) {
  const std::int64_t area = layout.h * layout.w, block = layout.block;
  const Lines lines(layout);
  const std::int64_t n = plane / layout.blocks(), b = plane % layout.blocks();
  const std::int64_t channels = std::min(block, layout.c - b * block);
  const float* from = src + (n * layout.c + b * block) * area;
  Bf16* to = dst + layout.at(n, b);
  for (std::int64_t y = 0; y < lines.count; ++y, from += lines.pixels, to += layout.row()) {
    if (block == 1) {
      bf16_kernels().round(from, to, lines.pixels);
    } else if (bf16_kernels().matrix) {
      bf16_kernels().matrix->from_planes(from, area, channels, lines.pixels, to);
    } else {
      round_pixels(from, area, channels, block, lines.pixels, to);
    }
  }
}

void clear_unused_strips(const Layout& layout, Bf16* data) {
  if (layout.block == 1 || bf16_strips(layout) * bf16_lanes() == layout.blocks() * layout.block) return;
  for (std::int64_t n = 1; n <= layout.n; ++n)
    std::fill_n(data + n * layout.image() - layout.plane(), layout.plane(), Bf16{0});
}

void clear_unused_lanes(const Layout& layout, std::int64_t strip, Bf16* first, std::int64_t pixels) {
  const std::int64_t lanes = bf16_lanes(), used = layout.c - strip * lanes;
  if (used >= lanes) return;
  for (std::int64_t p = 0; p < pixels; ++p)
    std::fill(first + p * layout.block + used, first + p * layout.block + lanes, Bf16{0});
}

}  // namespace polyadic

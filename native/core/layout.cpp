#include "layout.h"

#include <cstring>

#include "dispatch.h"

namespace polyadic {
namespace {

template <class T>
void zero(T* data, std::int64_t count) {
  if (count > 0) std::memset(data, 0, static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
void clear(const Layout& layout, T* data) {
  if (layout.halo.empty()) return;
  const Halo& halo = layout.halo;
  const std::int64_t row = layout.row();
  const std::int64_t left = halo.left * layout.block;
  const std::int64_t right = halo.right * layout.block;
  for (std::int64_t plane = 0; plane < layout.planes(); ++plane) {
    T* at = data + plane * layout.plane();
    zero(at, halo.top * row);
    at += halo.top * row;
    for (std::int64_t y = 0; y < layout.h; ++y, at += row) {
      zero(at, left);
      zero(at + row - right, right);
    }
    zero(at, halo.bottom * row);
  }
}

}  // namespace

void clear_halo(const Layout& layout, float* data) { clear(layout, data); }
void clear_halo(const Layout& layout, std::uint16_t* data) { clear(layout, data); }

void from_nchw(const float* src, const Layout& layout, float* dst, std::int64_t plane) {
  const std::int64_t area = layout.h * layout.w;
  const std::int64_t block = layout.block;
  const Lines lines(layout);
  const std::int64_t n = plane / layout.blocks(), b = plane % layout.blocks();
  const std::int64_t channels = std::min(block, layout.c - b * block);
  const float* from = src + (n * layout.c + b * block) * area;
  float* to = dst + layout.at(n, b);
  for (std::int64_t y = 0; y < lines.count; ++y, from += lines.pixels, to += layout.row()) {
    if (block == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(lines.pixels) * sizeof(float));
      continue;
    }
    kernels().layout.to_blocked(from, area, channels, lines.pixels, to);
  }
}

void to_nchw(const Layout& layout, const float* src, float* dst, std::int64_t plane) {
  const std::int64_t area = layout.h * layout.w;
  const std::int64_t block = layout.block;
  const Lines lines(layout);
  const std::int64_t n = plane / layout.blocks(), b = plane % layout.blocks();
  const std::int64_t channels = std::min(block, layout.c - b * block);
  const float* from = src + layout.at(n, b);
  float* to = dst + (n * layout.c + b * block) * area;
  for (std::int64_t y = 0; y < lines.count; ++y, from += layout.row(), to += lines.pixels) {
    if (block == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(lines.pixels) * sizeof(float));
      continue;
    }
    kernels().layout.from_blocked(from, lines.pixels, channels, to, area);
  }
}

}  // namespace polyadic

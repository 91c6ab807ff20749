#include "layout.h"

#include <cstring>

namespace polyadic {
namespace {

void zero(float* data, std::int64_t count) {
  if (count > 0) std::memset(data, 0, static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

void clear_halo(const Layout& layout, float* data) {
  if (layout.halo.empty()) return;
  const Halo& halo = layout.halo;
  const std::int64_t row = layout.row();
  const std::int64_t left = halo.left * layout.block;
  const std::int64_t right = halo.right * layout.block;
  for (std::int64_t plane = 0; plane < layout.n * layout.blocks(); ++plane) {
    float* at = data + plane * layout.plane();
    zero(at, halo.top * row);
    at += halo.top * row;
    for (std::int64_t y = 0; y < layout.h; ++y, at += row) {
      zero(at, left);
      zero(at + row - right, right);
    }
    zero(at, halo.bottom * row);
  }
}

void from_nchw(const float* src, const Layout& layout, float* dst, std::int64_t n0, std::int64_t n1) {
  const std::int64_t area = layout.h * layout.w;
  const int block = layout.block;
  for (std::int64_t n = n0; n < n1; ++n) {
    for (std::int64_t b = 0; b < layout.blocks(); ++b) {
      const std::int64_t channels = std::min<std::int64_t>(block, layout.c - b * block);
      const float* from = src + (n * layout.c + b * block) * area;
      float* to = dst + layout.at(n, b);
      for (std::int64_t y = 0; y < layout.h; ++y) {
        float* line = to + y * layout.row();
        if (block == 1) {
          std::memcpy(line, from + y * layout.w, static_cast<std::size_t>(layout.w) * sizeof(float));
          continue;
        }
        for (std::int64_t x = 0; x < layout.w; ++x) {
          const float* pixel = from + y * layout.w + x;
          std::int64_t c = 0;
          for (; c < channels; ++c) line[x * block + c] = pixel[c * area];
          for (; c < block; ++c) line[x * block + c] = 0;
        }
      }
    }
  }
}

void to_nchw(const Layout& layout, const float* src, float* dst, std::int64_t n0, std::int64_t n1) {
  const std::int64_t area = layout.h * layout.w;
  for (std::int64_t n = n0; n < n1; ++n) {
    for (std::int64_t c = 0; c < layout.c; ++c) {
      const float* from = src + layout.at(n) + layout.channel(c);
      float* to = dst + (n * layout.c + c) * area;
      for (std::int64_t y = 0; y < layout.h; ++y) {
        for (std::int64_t x = 0; x < layout.w; ++x) to[y * layout.w + x] = from[layout.pixel(y, x)];
      }
    }
  }
}

}  // namespace polyadic

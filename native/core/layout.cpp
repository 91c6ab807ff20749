#include "layout.h"

#include <cstring>

#if defined(__SSE2__) || defined(_M_X64)
#include <xmmintrin.h>
#define POLYADIC_SSE
#endif

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
  for (std::int64_t plane = 0; plane < layout.n * layout.blocks(); ++plane) {
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

namespace {

// out[j·to + i] = in[i·from + j] for i, j < 4.
inline void transpose_4x4(const float* in, std::int64_t from, float* out, std::int64_t to) {
#ifdef POLYADIC_SSE
  __m128 a = _mm_loadu_ps(in), b = _mm_loadu_ps(in + from), c = _mm_loadu_ps(in + 2 * from),
         d = _mm_loadu_ps(in + 3 * from);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(out, a);
  _mm_storeu_ps(out + to, b);
  _mm_storeu_ps(out + 2 * to, c);
  _mm_storeu_ps(out + 3 * to, d);
#else
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) out[j * to + i] = in[i * from + j];
  }
#endif
}

}  // namespace

void transpose(const float* in, std::int64_t from, std::int64_t rows, std::int64_t columns, float* out,
               std::int64_t to) {
  const std::int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (std::int64_t x = 0; x < whole_columns; x += 4) {
    for (std::int64_t c = 0; c < whole_rows; c += 4) transpose_4x4(in + c * from + x, from, out + x * to + c, to);
  }
  for (std::int64_t x = 0; x < columns; ++x) {
    for (std::int64_t c = x < whole_columns ? whole_rows : 0; c < rows; ++c) out[x * to + c] = in[c * from + x];
  }
}

namespace {

// Lines of pixels that lie one behind the other in a plane: its rows or, without a halo between them, all of it.
struct Lines {
  std::int64_t count, pixels;
  explicit Lines(const Layout& layout) : count(layout.h), pixels(layout.w) {
    if (layout.halo.left == 0 && layout.halo.right == 0) {
      pixels *= count;
      count = 1;
    }
  }
};

}  // namespace

void from_nchw(const float* src, const Layout& layout, float* dst, std::int64_t n0, std::int64_t n1) {
  const std::int64_t area = layout.h * layout.w;
  const std::int64_t block = layout.block;
  const Lines lines(layout);
  for (std::int64_t n = n0; n < n1; ++n) {
    for (std::int64_t b = 0; b < layout.blocks(); ++b) {
      const std::int64_t channels = std::min(block, layout.c - b * block);
      const float* from = src + (n * layout.c + b * block) * area;
      float* to = dst + layout.at(n, b);
      for (std::int64_t y = 0; y < lines.count; ++y, from += lines.pixels, to += layout.row()) {
        if (block == 1) {
          std::memcpy(to, from, static_cast<std::size_t>(lines.pixels) * sizeof(float));
          continue;
        }
        transpose(from, area, channels, lines.pixels, to, block);
        for (std::int64_t x = 0; channels < block && x < lines.pixels; ++x)
          std::fill(to + x * block + channels, to + (x + 1) * block, 0.0f);
      }
    }
  }
}

void to_nchw(const Layout& layout, const float* src, float* dst, std::int64_t n0, std::int64_t n1) {
  const std::int64_t area = layout.h * layout.w;
  const std::int64_t block = layout.block;
  const Lines lines(layout);
  for (std::int64_t n = n0; n < n1; ++n) {
    for (std::int64_t b = 0; b < layout.blocks(); ++b) {
      const std::int64_t channels = std::min(block, layout.c - b * block);
      const float* from = src + layout.at(n, b);
      float* to = dst + (n * layout.c + b * block) * area;
      for (std::int64_t y = 0; y < lines.count; ++y, from += layout.row(), to += lines.pixels)
        transpose(from, block, lines.pixels, channels, to, area);
    }
  }
}

}  // namespace polyadic

// Lists of pixels: what kernels work on.
#pragma once

#include <cstdint>

#include "../core/layout.h"

namespace polyadic {

// Pixels a list holds at most: enough to reuse weights from the first-level cache, a multiple of every tile.
constexpr int kBand = 96;

// Positions (n, y, x) with y = first + i·step, for i < count, and likewise for x.
struct PixelAxis {
  std::int64_t first = 0, step = 1, count = 0;
};

struct PixelGrid {
  std::int64_t images = 0;
  PixelAxis y, x;
  std::int64_t size() const { return images * y.count * x.count; }
};

// Pointers to pixels [begin, end) of the grid, counted image by image, row by row.
template <class T, class Pointer>
void list_pixels(const PixelGrid& grid, const Layout& layout, T* data, std::int64_t begin, std::int64_t end,
                 Pointer* list) {
  if (begin >= end) return;
  std::int64_t x = begin % grid.x.count;
  std::int64_t y = begin / grid.x.count % grid.y.count;
  std::int64_t n = begin / grid.x.count / grid.y.count;
  T* origin = data + layout.origin();
  const std::int64_t step = grid.x.step * layout.block;
  for (std::int64_t i = begin; i < end;) {
    T* at = origin + n * layout.image() + layout.pixel(grid.y.first + y * grid.y.step, grid.x.first + x * grid.x.step);
    for (; x < grid.x.count && i < end; ++x, ++i, at += step) list[i - begin] = at;
    x = 0;
    if (++y == grid.y.count) {
      y = 0;
      ++n;
    }
  }
}

}  // namespace polyadic

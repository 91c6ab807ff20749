// In which order the pixels of a layer's output are taken. Tiles read pixels that lie evenly spaced: where the end of a
// row would break that, there are places without a pixel before the next row begins, computed but not stored.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../pixels.h"

namespace polyadic {

struct PixelOrder {
  std::int64_t images = 0, rows = 0, columns = 0;
  std::int64_t line = 0;   // places from one row to the next
  std::int64_t image = 0;  // places from one image to the next
  std::int64_t size() const { return images * image; }
  bool has_gaps() const { return image != rows * columns; }

  static PixelOrder dense(const Layout& out) { return {out.n, out.h, out.w, out.w, out.h * out.w}; }

  // Pointers to the pixels at places [begin, end), null where there is none.
  template <class T, class Pointer>
  void list(const Layout& layout, T* data, std::int64_t begin, std::int64_t end, Pointer* list) const {
    each_row(begin, end, [&](std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t count) {
      T* at = data + layout.at(n) + layout.pixel(y, x);
      const std::int64_t inside = y < rows ? columns : 0;
      for (std::int64_t i = 0; i < count; ++i, at += layout.block) *list++ = x + i < inside ? at : nullptr;
    });
  }

  // Pointers to what they are computed from; a place without a pixel goes on evenly.
  template <class T>
  void list_sources(const PixelGrid& grid, const Layout& layout, const T* data, std::int64_t begin, std::int64_t end,
                    const T** list) const {
    const std::int64_t step = grid.x.step * layout.block;
    each_row(begin, end, [&](std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t count) {
      const T* at = data + layout.at(n) + layout.pixel(grid.y.first + y * grid.y.step, grid.x.first + x * grid.x.step);
      for (std::int64_t i = 0; i < count; ++i, at += step) *list++ = at;
    });
  }

 private:
  template <class F>
  void each_row(std::int64_t begin, std::int64_t end, F&& f) const {
    std::int64_t n = begin / image, y = begin % image / line, x = begin % image % line;
    for (std::int64_t left = end - begin; left > 0;) {
      // An image's last row may be longer, or shorter, than the others.
      const std::int64_t count = std::min({left, line - x, image - y * line - x});
      f(n, y, x, count);
      left -= count;
      x += count;
      if (x == line) ++y, x = 0;
      if (y * line + x == image) ++n, y = 0, x = 0;
    }
  }
};

}  // namespace polyadic

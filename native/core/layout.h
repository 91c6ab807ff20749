// How a 4-D value N×C×H×W lies in memory: [N][C/b][top + H + bottom][left + W + right][b], the halo filled with zeros
// so that convolutions may read their padding. b = 1 is plain NCHW with a halo.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace polyadic {

// The least multiple of `of` that is not below `count`.
constexpr std::int64_t round_up(std::int64_t count, std::int64_t of) { return (count + of - 1) / of * of; }

struct Halo {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;

  void grow(const Halo& other) {
    top = std::max(top, other.top);
    left = std::max(left, other.left);
    bottom = std::max(bottom, other.bottom);
    right = std::max(right, other.right);
  }
  bool empty() const { return top == 0 && left == 0 && bottom == 0 && right == 0; }
};

struct Layout {
  std::int64_t n = 0, c = 0, h = 0, w = 0;
  int block = 1;
  Halo halo;

  std::int64_t blocks() const { return (c + block - 1) / block; }
  // Strides in elements.
  std::int64_t row() const { return (halo.left + w + halo.right) * block; }
  // Planes a multiple of 1 KiB apart would crowd on few sets of the first-level cache: those get a line more.
  std::int64_t plane() const {
    constexpr std::int64_t kPage = 256, kLine = 16;
    const std::int64_t floats = (halo.top + h + halo.bottom) * row();
    return block > 1 && floats % kPage == 0 ? floats + std::max<std::int64_t>(kLine, block) : floats;
  }
  // Channel blocks of all images.
  std::int64_t planes() const { return n * blocks(); }
  std::int64_t image() const { return blocks() * plane(); }
  std::int64_t size() const { return n * image(); }
  // Of pixel (0, 0) of channel 0 of image 0.
  std::int64_t origin() const { return halo.top * row() + halo.left * block; }
  // Of pixel (0, 0) of a channel block of an image.
  std::int64_t at(std::int64_t index, std::int64_t channel_block = 0) const {
    return origin() + index * image() + channel_block * plane();
  }
  std::int64_t pixel(std::int64_t y, std::int64_t x) const { return y * row() + x * block; }
  std::int64_t channel(std::int64_t index) const { return index / block * plane() + index % block; }
};

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

// Zeroes the halo of every image and channel block.
void clear_halo(const Layout& layout, float* data);
void clear_halo(const Layout& layout, std::uint16_t* data);

// Between dense NCHW (as JavaScript gives it) and a layout: one channel block of one image, counted in memory's order.
void from_nchw(const float* src, const Layout& layout, float* dst, std::int64_t plane);
void to_nchw(const Layout& layout, const float* src, float* dst, std::int64_t plane);

}  // namespace polyadic

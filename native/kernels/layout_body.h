// Blocking and unblocking of channels by transposed tiles, over Vec. Included once by each ISA's file after its
// vec_*.h.
#include "layout_kernels.h"

namespace {

constexpr int kSide = Vec::kLanes;  // of a tile: so many pixels, so many channels

// A tile of `pixels` ≤ kSide pixels.
inline void tile_to_blocked(const float* from, std::ptrdiff_t plane, std::int64_t channels, std::int64_t pixels,
                            float* to) {
  Vec tile[kSide];
  if (channels == kSide && pixels == kSide) {
#pragma GCC unroll 16
    for (int c = 0; c < kSide; ++c) tile[c] = Vec::load(from + c * plane);
    transpose(tile);
#pragma GCC unroll 16
    for (int p = 0; p < kSide; ++p) tile[p].store(to + p * kSide);
    return;
  }
  for (int c = 0; c < kSide; ++c)
    tile[c] = c < channels ? load_first(from + c * plane, static_cast<int>(pixels)) : Vec::zero();
  transpose(tile);
  for (int p = 0; p < pixels; ++p) tile[p].store(to + p * kSide);
}

void to_blocked(const float* from, std::ptrdiff_t plane, std::int64_t channels, std::int64_t pixels, float* to) {
  std::int64_t p = 0;
  for (; p + kSide <= pixels; p += kSide) tile_to_blocked(from + p, plane, channels, kSide, to + p * kSide);
  if (p < pixels) tile_to_blocked(from + p, plane, channels, pixels - p, to + p * kSide);
}

inline void tile_from_blocked(const float* from, std::int64_t pixels, std::int64_t channels, float* to,
                              std::ptrdiff_t plane) {
  Vec tile[kSide];
  if (channels == kSide && pixels == kSide) {
#pragma GCC unroll 16
    for (int p = 0; p < kSide; ++p) tile[p] = Vec::load(from + p * kSide);
    transpose(tile);
#pragma GCC unroll 16
    for (int c = 0; c < kSide; ++c) tile[c].store(to + c * plane);
    return;
  }
  for (int p = 0; p < kSide; ++p) tile[p] = p < pixels ? Vec::load(from + p * kSide) : Vec::zero();
  transpose(tile);
  for (int c = 0; c < channels; ++c) store_first(to + c * plane, tile[c], static_cast<int>(pixels));
}

void from_blocked(const float* from, std::int64_t pixels, std::int64_t channels, float* to, std::ptrdiff_t plane) {
  std::int64_t p = 0;
  for (; p + kSide <= pixels; p += kSide) tile_from_blocked(from + p * kSide, kSide, channels, to + p, plane);
  if (p < pixels) tile_from_blocked(from + p * kSide, pixels - p, channels, to + p, plane);
}

constexpr polyadic::LayoutKernels layout_kernels() { return {to_blocked, from_blocked}; }

}  // namespace

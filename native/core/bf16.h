// Values that a plan keeps in bfloat16.
#pragma once

#include <cstdint>

#include "../kernels/bf16_kernels.h"
#include "layout.h"

namespace polyadic {

// Kernels work on strips of so many channels: those of a block in float32.
int bf16_lanes();
// Channels of a block of a value in bfloat16, one strip or two: what a row of a tile register holds where there are
// such, so that tiles read values where they lie.
int bf16_block();
// Strips of a value that hold a channel.
std::int64_t bf16_strips(const Layout& layout);
// Of pixel (0, 0) of a strip, from that of its image's first.
std::int64_t bf16_strip(const Layout& layout, std::int64_t strip);

// Pixels behind a value's last that tiles may read: there is memory, whatever it holds.
constexpr std::int64_t kBf16PixelsBehind = 64;

// As from_nchw, rounding as bf16_kernels.h says.
void from_nchw(const float* src, const Layout& layout, Bf16* dst, std::int64_t plane);
// Zeroes last blocks with a strip that no step writes: it is read, with weights of 0, so there must be numbers.
void clear_unused_strips(const Layout& layout, Bf16* data);
// The same for lanes beyond the last channel, of pixels of a strip in a row: what float32 values hold there may be
// infinite.
void clear_unused_lanes(const Layout& layout, std::int64_t strip, Bf16* first, std::int64_t pixels);

}  // namespace polyadic

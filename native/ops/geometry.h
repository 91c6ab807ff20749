// Window geometry of convolution and pooling, and the two ways a convolution gathers its inputs: forward, and backward
// to its data. Both are "for each output pixel, a sum over taps at fixed offsets", which is all a kernel knows.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "pixels.h"

namespace polyadic {

struct Window {
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> strides{1, 1};
  std::array<std::int64_t, 4> pads{0, 0, 0, 0};  // top, left, bottom, right
  std::array<std::int64_t, 2> dilations{1, 1};
};

// Output extent along an axis (0: rows, 1: columns) of `size` inputs, rounded down; less than 1 where the window does
// not fit.
std::int64_t output_extent(const Window& window, std::size_t axis, std::int64_t size);

// Valid part of a window along one axis.
struct Span {
  std::int64_t begin, end, step;  // input positions
  std::int64_t padded;            // positions that count with count_include_pad: those within the padded input
  bool cut = false;               // by an edge: its first position is not the window's
  std::int64_t inside() const { return end > begin ? (end - 1 - begin) / step + 1 : 0; }
  // Whether windows from this one to `other`, its neighbours, have the same shape and begin a stride after each other.
  bool goes_on(const Span& other) const {
    return !cut && !other.cut && inside() == other.inside() && padded == other.padded;
  }
};

// The part of a window along an axis (0: rows, 1: columns) that `extent` inputs hold, for output position `out`.
Span window_span(const Window& window, std::size_t axis, std::int64_t out, std::int64_t extent);

struct ConvolutionShape {
  Window window;
  std::int64_t groups = 1;
  std::int64_t in_channels = 0, out_channels = 0;
  std::int64_t in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  std::int64_t batch = 1;  // images that there are: what is chosen by their number is the same for any slice of them
  std::int64_t taps() const { return window.kernel[0] * window.kernel[1]; }
  bool depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
  std::int64_t weight_count() const { return out_channels * (in_channels / groups) * taps(); }
};

// One tap of a window: where it reads, relative to a pixel's base, and which weight it has (ky·kW + kx).
struct Tap {
  std::int64_t dy, dx, index;
};

// Output pixels that share one list of taps, and the source pixels their taps are relative to.
struct GatherPhase {
  PixelGrid dst, src;
  std::vector<Tap> taps;
};

// Throws Error(unsupported) where an image is too large for offsets within it, which are kept in 32 bits.
void check_offsets(const Layout& src);

// Forward: one phase. Source pixel of output (y, x) is (y·stride − pad).
std::vector<GatherPhase> forward_phases(const ConvolutionShape& shape, std::int64_t images);

// Backward to the data: destination pixels are the layer's inputs, sources its output gradients; a phase for each
// residue of the strides.
std::vector<GatherPhase> backward_phases(const ConvolutionShape& shape, std::int64_t images);

// Whether a gather should take the pixels of one position over all images together and skip the taps that fall outside
// of the h×w source, instead of reading zeros from a halo: a 9×9 valid convolution's backward pass reads mostly zeros.
bool prefers_positions(const std::vector<GatherPhase>& phases, std::int64_t h, std::int64_t w, std::int64_t batch);

// Taps of a phase that stay inside an h×w source at output (y, x) of its grid, as [first, last) runs of their order.
std::vector<std::pair<std::int64_t, std::int64_t>> inside_taps(const GatherPhase& phase, std::int64_t y, std::int64_t x,
                                                               std::int64_t h, std::int64_t w);

// Halo of the output's gradient that the backward pass to the data needs.
Halo backward_halo(const ConvolutionShape& shape);

// Halo that a source of h×w needs so that every tap of every phase stays inside.
Halo needed_halo(const std::vector<GatherPhase>& phases, std::int64_t h, std::int64_t w);

}  // namespace polyadic

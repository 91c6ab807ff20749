#include "geometry.h"

#include <algorithm>
#include <limits>

#include "../core/status.h"

namespace polyadic {

void check_offsets(const Layout& src) {
  if (src.image() > std::numeric_limits<std::int32_t>::max())
    throw Error(ErrorCode::unsupported, "convolution: an image of more than 2^31 floats");
}

std::int64_t output_extent(const Window& window, std::size_t axis, std::int64_t size) {
  const std::int64_t reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1;
  return (size + window.pads[axis] + window.pads[axis + 2] - reach) / window.strides[axis] + 1;
}

Span window_span(const Window& window, std::size_t axis, std::int64_t out, std::int64_t extent) {
  const std::int64_t step = window.dilations[axis];
  const std::int64_t first = out * window.strides[axis] - window.pads[axis];
  const std::int64_t last = first + (window.kernel[axis] - 1) * step;
  Span span{first, std::min(last, extent - 1) + 1, step, 0, first < 0};
  const std::int64_t padded_last = std::min(last, extent - 1 + window.pads[axis + 2]);
  span.padded = (padded_last - first) / step + 1;
  if (span.begin < 0) span.begin += (-span.begin + step - 1) / step * step;
  return span;
}

std::vector<GatherPhase> forward_phases(const ConvolutionShape& shape, std::int64_t images) {
  const Window& window = shape.window;
  GatherPhase phase;
  phase.dst = {images, {0, 1, shape.out_h}, {0, 1, shape.out_w}};
  phase.src = {
      images, {-window.pads[0], window.strides[0], shape.out_h}, {-window.pads[1], window.strides[1], shape.out_w}};
  for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
    for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
      phase.taps.push_back({ky * window.dilations[0], kx * window.dilations[1], ky * window.kernel[1] + kx});
    }
  }
  return {phase};
}

namespace {

// Input positions i with (i + pad) mod stride = residue read gradients at (i + pad − k·dilation) / stride, for the taps
// k whose k·dilation has that residue too.
struct AxisPhase {
  PixelAxis dst, src;
  std::vector<std::pair<std::int64_t, std::int64_t>> taps;  // offset, k
};

std::vector<AxisPhase> axis_phases(std::int64_t kernel, std::int64_t stride, std::int64_t dilation, std::int64_t pad,
                                   std::int64_t extent) {
  // Only residues that some position has: a stride may be far larger than the image.
  std::vector<std::int64_t> residues;
  for (std::int64_t first = 0; first < std::min(stride, extent); ++first) residues.push_back((first + pad) % stride);
  std::sort(residues.begin(), residues.end());
  std::vector<AxisPhase> phases;
  for (const std::int64_t residue : residues) {
    AxisPhase phase;
    const std::int64_t first = ((residue - pad) % stride + stride) % stride;
    phase.dst = {first, stride, (extent - first + stride - 1) / stride};
    phase.src = {(first + pad - residue) / stride, 1, phase.dst.count};
    for (std::int64_t k = 0; k < kernel; ++k) {
      if ((k * dilation) % stride == residue) phase.taps.emplace_back(-(k * dilation - residue) / stride, k);
    }
    phases.push_back(phase);
  }
  return phases;
}

}  // namespace

std::vector<GatherPhase> backward_phases(const ConvolutionShape& shape, std::int64_t images) {
  const Window& window = shape.window;
  const auto rows = axis_phases(window.kernel[0], window.strides[0], window.dilations[0], window.pads[0], shape.in_h);
  const auto columns =
      axis_phases(window.kernel[1], window.strides[1], window.dilations[1], window.pads[1], shape.in_w);
  std::vector<GatherPhase> phases;
  for (const AxisPhase& y : rows) {
    for (const AxisPhase& x : columns) {
      GatherPhase phase;
      phase.dst = {images, y.dst, x.dst};
      phase.src = {images, y.src, x.src};
      for (const auto& [dy, ky] : y.taps) {
        for (const auto& [dx, kx] : x.taps) phase.taps.push_back({dy, dx, ky * window.kernel[1] + kx});
      }
      phases.push_back(phase);
    }
  }
  return phases;
}

Halo needed_halo(const std::vector<GatherPhase>& phases, std::int64_t h, std::int64_t w) {
  Halo halo;
  for (const GatherPhase& phase : phases) {
    const PixelAxis& y = phase.src.y;
    const PixelAxis& x = phase.src.x;
    if (y.count == 0 || x.count == 0) continue;
    for (const Tap& tap : phase.taps) {
      halo.top = std::max(halo.top, -(y.first + tap.dy));
      halo.left = std::max(halo.left, -(x.first + tap.dx));
      halo.bottom = std::max(halo.bottom, y.first + (y.count - 1) * y.step + tap.dy - (h - 1));
      halo.right = std::max(halo.right, x.first + (x.count - 1) * x.step + tap.dx - (w - 1));
    }
  }
  return halo;
}

std::vector<std::pair<std::int64_t, std::int64_t>> inside_taps(const GatherPhase& phase, std::int64_t y, std::int64_t x,
                                                               std::int64_t h, std::int64_t w) {
  std::vector<std::pair<std::int64_t, std::int64_t>> runs;
  const std::int64_t base_y = phase.src.y.first + y * phase.src.y.step,
                     base_x = phase.src.x.first + x * phase.src.x.step;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(phase.taps.size()); ++i) {
    const Tap& tap = phase.taps[static_cast<std::size_t>(i)];
    const std::int64_t at_y = base_y + tap.dy, at_x = base_x + tap.dx;
    if (at_y < 0 || at_y >= h || at_x < 0 || at_x >= w) continue;
    if (!runs.empty() && runs.back().second == i) {
      runs.back().second = i + 1;
    } else {
      runs.emplace_back(i, i + 1);
    }
  }
  return runs;
}

bool prefers_positions(const std::vector<GatherPhase>& phases, std::int64_t h, std::int64_t w, std::int64_t batch) {
  constexpr double kFullTile = 6;  // pixels that fill a tile
  double all = 0, inside = 0;
  for (const GatherPhase& phase : phases) {
    all += static_cast<double>(phase.dst.y.count * phase.dst.x.count) * static_cast<double>(phase.taps.size());
    const auto valid = [](const PixelAxis& axis, std::int64_t offset, std::int64_t extent) {
      std::int64_t count = 0;
      for (std::int64_t i = 0; i < axis.count; ++i) {
        const std::int64_t at = axis.first + i * axis.step + offset;
        count += at >= 0 && at < extent;
      }
      return static_cast<double>(count);
    };
    for (const Tap& tap : phase.taps) inside += valid(phase.src.y, tap.dy, h) * valid(phase.src.x, tap.dx, w);
  }
  return all > 1.3 * inside * std::max(1.0, kFullTile / static_cast<double>(batch));
}

Halo backward_halo(const ConvolutionShape& shape) {
  const std::vector<GatherPhase> phases = backward_phases(shape, 1);
  if (!shape.depthwise() && prefers_positions(phases, shape.out_h, shape.out_w, shape.batch)) return {};
  return needed_halo(phases, shape.out_h, shape.out_w);
}

}  // namespace polyadic

#include "moments.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gemm64.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kRowsAtOnce = 256;     // patches held at a time
constexpr std::int64_t kColumnsAtOnce = 512;  // of the moments: only blocks that reach the upper triangle are computed

// Up to three spatial axes, those that are missing of extent 1 in front.
struct Geometry {
  std::array<std::int64_t, 3> extent{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, pad{0, 0, 0}, dilation{1, 1, 1};
};

Geometry geometry_of(const Patches& patches) {
  Geometry geometry;
  const std::size_t axes = patches.kernel.size();
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::size_t at = 3 - axes + axis;
    geometry.extent[at] = patches.dims[2 + axis];
    geometry.kernel[at] = patches.kernel[axis];
    geometry.stride[at] = patches.strides[axis];
    geometry.pad[at] = patches.pads[axis];
    geometry.dilation[at] = patches.dilations[axis];
  }
  return geometry;
}

// dst = the patch of group g at one position, row-major over channels and kernel.
void gather(const Patches& patches, const Geometry& geometry, std::int64_t g, const std::int64_t* position,
            double* dst) {
  const std::int64_t channels = patches.dims[1], own = channels / patches.groups;
  const auto& [depth, height, width] = geometry.extent;
  std::array<std::int64_t, 3> origin{};
  const std::size_t axes = patches.kernel.size();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t at = axis + axes < 3 ? 0 : position[1 + axis + axes - 3];
    origin[axis] = at * geometry.stride[axis] - geometry.pad[axis];
  }
  for (std::int64_t c = 0; c < own; ++c) {
    const float* plane = patches.input + (position[0] * channels + g * own + c) * depth * height * width;
    for (std::int64_t a = 0; a < geometry.kernel[0]; ++a) {
      const std::int64_t z = origin[0] + a * geometry.dilation[0];
      for (std::int64_t b = 0; b < geometry.kernel[1]; ++b) {
        const std::int64_t y = origin[1] + b * geometry.dilation[1];
        for (std::int64_t d = 0; d < geometry.kernel[2]; ++d) {
          const std::int64_t x = origin[2] + d * geometry.dilation[2];
          const bool inside = z >= 0 && z < depth && y >= 0 && y < height && x >= 0 && x < width;
          *dst++ = inside ? static_cast<double>(plane[(z * height + y) * width + x]) : 0.0;
        }
      }
    }
  }
}

}  // namespace

std::int64_t Patches::length() const {
  std::int64_t size = dims[1] / groups;
  for (const std::int64_t extent : kernel) size *= extent;
  return size;
}

void add_moments(const Patches& patches, const std::vector<double*>& moments, int threads, const JobControl& control) {
  const Geometry geometry = geometry_of(patches);
  const std::int64_t size = patches.length();
  const auto step = static_cast<std::int64_t>(patches.kernel.size()) + 1;
  const std::int64_t count = static_cast<std::int64_t>(patches.positions.size()) / step;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t* position = patches.positions.data() + i * step;
    if (position[0] < 0 || position[0] >= patches.dims[0] || *std::min_element(position, position + step) < 0)
      throw Error(ErrorCode::argument, "positions: expected positions inside of the batch");
  }
  Gemm gemm(threads, control);
  std::vector<double> rows(static_cast<std::size_t>(std::min(count, kRowsAtOnce) * size));
  for (std::int64_t g = 0; g < patches.groups; ++g) {
    double* c = moments[static_cast<std::size_t>(g)];
    for (std::int64_t first = 0; first < count; first += kRowsAtOnce) {
      const std::int64_t there = std::min(kRowsAtOnce, count - first);
      for (std::int64_t i = 0; i < there; ++i) {
        gather(patches, geometry, g, patches.positions.data() + (first + i) * step, rows.data() + i * size);
      }
      for (std::int64_t i = 0; i < there * size; ++i) {
        if (!std::isfinite(rows[i])) throw Error(ErrorCode::numeric, "input: expected finite values");
      }
      const Strided x = row_major(rows.data(), size);
      for (std::int64_t begin = 0; begin < size; begin += kColumnsAtOnce) {
        const std::int64_t wide = std::min(kColumnsAtOnce, size - begin);
        gemm.multiply(begin + wide, wide, there, x.transposed(), row_major(rows.data() + begin, size), c + begin, size,
                      true);
      }
    }
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = i + 1; j < size; ++j) c[j * size + i] = c[i * size + j];
    }
  }
}

}  // namespace polyadic::solver

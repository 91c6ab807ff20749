// Second moments of a convolution's input patches: what a change of its weights does to its output.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/job_control.h"

namespace polyadic::solver {

// Patches of one batch of a convolution's input, and where they are taken.
struct Patches {
  const float* input = nullptr;                                // N×C×spatial, row-major
  std::vector<std::int64_t> dims;                              // [N, C, spatial extents]
  std::vector<std::int64_t> kernel, strides, pads, dilations;  // one a spatial axis; pads at the begin
  std::int64_t groups = 1;
  std::vector<std::int64_t> positions;  // [image, output position along each axis], one behind the other

  std::int64_t length() const;  // of a patch of one group: C/groups·Π kernel
};

// moments[g] (length×length) += Σ x·xᵀ over the patches of group g; beyond the edges x is 0.
// Throws Error(argument) for a position outside of the batch, Error(numeric) for a value that is not finite.
void add_moments(const Patches& patches, const std::vector<double*>& moments, int threads, const JobControl& control);

}  // namespace polyadic::solver

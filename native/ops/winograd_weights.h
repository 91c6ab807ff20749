// The weights' side of Winograd's minimal filtering, once when a plan is made.
#pragma once

namespace polyadic {

// G·g·Gᵀ of one 3×3 kernel, (m + 2)² floats; computed in double, m is 2 or 4. The points are those of
// kernels/winograd_body.h.
void transform_weights(int m, const float* kernel, float* transformed);

}  // namespace polyadic

// Values that a plan keeps in bfloat16.
#pragma once

#include <cstdint>

#include "../kernels/bf16_kernels.h"
#include "layout.h"

namespace polyadic {

// As from_nchw, rounding as bf16_kernels.h says.
void from_nchw(const float* src, const Layout& layout, Bf16* dst, std::int64_t plane);

}  // namespace polyadic

// Element-wise functions: y = f(x), and dx = dy · f'(y) with the derivative from the output alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../plan/plan_spec.h"

namespace polyadic {

// In place is allowed.
void apply_activation(const ActivationSpec& activation, const float* x, float* y, std::int64_t count);

// dx (+)= dy · f'. `x` and `y` are the function's input and output.
void activation_gradient(const ActivationSpec& activation, const float* x, const float* y, const float* dy, float* dx,
                         std::int64_t count, bool accumulate);

}  // namespace polyadic

// Exponentials and their kin over arrays: what activations and element-wise functions take their time in.
#pragma once

#include <cstdint>

namespace polyadic {

// y[i] = f(x[i]) for i < count, in place too; what an element becomes depends neither on its place nor on count. NaN
// stays NaN. An ulp is the distance between floats at the exact result, among denormal ones too.
using MapFunction = void (*)(const float* x, float* y, std::int64_t count);

struct FunctionKernels {
  MapFunction exp;      // within 2 ulp; +∞ and 0 where they are the nearest
  MapFunction tanh;     // within 3 ulp; −0 stays
  MapFunction sigmoid;  // 1 / (1 + e^−x) within 3 ulp
  MapFunction erf;      // within 3 ulp; −0 stays
};

}  // namespace polyadic

#include "functions.h"

#include <cmath>

#include "../../core/dispatch.h"
#include "function_forms.h"

namespace polyadic {
namespace {

using namespace forms;

// Results of 8 and 16 bits wrap around as the types do; wider ones must be exact in float32.
bool settle(double value, int bits, bool is_signed, float* out) {
  if (bits <= 16) {
    const double size = std::ldexp(1.0, bits);
    value -= std::floor(value / size) * size;
    if (is_signed && value >= size / 2) value -= size;
  }
  *out = static_cast<float>(value);
  return std::isfinite(value) && static_cast<double>(*out) == value;
}

template <class F>
void run1(const FunctionLine& line, const Numbers& numbers) {
  const float* x = line.in[0];
  float* out = line.out;
  if (line.stride[0] == 1) {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i], numbers);
  } else {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i * line.stride[0]], numbers);
  }
}

// Of what lies apart, a copy is made first: the same numbers give the same results wherever they lie.
template <MapFunction FunctionKernels::*Of>
void run_kernel(const FunctionLine& line, const Numbers&) {
  const float* x = line.in[0];
  if (line.stride[0] != 1) {
    for (std::int64_t i = 0; i < line.count; ++i) line.out[i] = x[i * line.stride[0]];
    x = line.out;
  }
  (kernels().functions.*Of)(x, line.out, line.count);
}

template <class F>
void run2(const FunctionLine& line, const Numbers& numbers) {
  const float* x = line.in[0];
  const float* y = line.in[1];
  float* out = line.out;
  const std::int64_t sx = line.stride[0], sy = line.stride[1];
  if (sx == 1 && sy == 1) {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i], y[i], numbers);
  } else if (sx == 1 && sy == 0) {
    const float value = *y;
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i], value, numbers);
  } else if (sx == 0 && sy == 1) {
    const float value = *x;
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(value, y[i], numbers);
  } else {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i * sx], y[i * sy], numbers);
  }
}

template <class F>
void run3(const FunctionLine& line, const Numbers& numbers) {
  const float *x = line.in[0], *y = line.in[1], *z = line.in[2];
  float* out = line.out;
  const std::int64_t sx = line.stride[0], sy = line.stride[1], sz = line.stride[2];
  if (sx == 1 && sy == 1 && sz == 1) {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i], y[i], z[i], numbers);
  } else if (sx == 1 && sy == 0 && sz == 0) {
    const float a = *y, b = *z;
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i], a, b, numbers);
  } else {
    for (std::int64_t i = 0; i < line.count; ++i) out[i] = F::of(x[i * sx], y[i * sy], z[i * sz], numbers);
  }
}

template <class F, int Inputs>
bool run_integers(const FunctionLine& line, const Numbers& numbers, int bits, bool is_signed) {
  bool exact = true;
  for (std::int64_t i = 0; i < line.count; ++i) {
    double in[3] = {};
    for (int k = 0; k < Inputs; ++k) in[k] = static_cast<double>(line.in[k][i * line.stride[k]]);
    double value = 0;
    if constexpr (Inputs == 1) value = F::of(in[0], numbers);
    if constexpr (Inputs == 2) value = F::of(in[0], in[1], numbers);
    if constexpr (Inputs == 3) value = F::of(in[0], in[1], in[2], numbers);
    exact = settle(value, bits, is_signed, line.out + i) && exact;
  }
  return exact;
}

template <class F>
constexpr Function unary(const char* name) {
  return {name, 1, run1<F>, run_integers<F, 1>};
}
// Float32 by a kernel, F for integers.
template <class F, MapFunction FunctionKernels::*Of>
constexpr Function by_kernel(const char* name) {
  return {name, 1, run_kernel<Of>, run_integers<F, 1>};
}
template <class F>
constexpr Function binary(const char* name) {
  return {name, 2, run2<F>, run_integers<F, 2>};
}
template <class F>
constexpr Function ternary(const char* name) {
  return {name, 3, run3<F>, run_integers<F, 3>};
}

constexpr Function kFunctions[] = {
    unary<Identity>("identity"),
    unary<Abs>("abs"),
    unary<Negate>("negate"),
    unary<Floor>("floor"),
    unary<Ceil>("ceil"),
    unary<Round>("round"),
    unary<Truncate>("truncate"),
    unary<Sign>("sign"),
    unary<Sqrt>("sqrt"),
    unary<Reciprocal>("reciprocal"),
    by_kernel<Exp, &FunctionKernels::exp>("exp"),
    unary<Log>("log"),
    unary<Sin>("sin"),
    unary<Cos>("cos"),
    unary<Tan>("tan"),
    unary<Asin>("asin"),
    unary<Acos>("acos"),
    unary<Atan>("atan"),
    unary<Sinh>("sinh"),
    unary<Cosh>("cosh"),
    by_kernel<Tanh, &FunctionKernels::tanh>("tanh"),
    unary<Asinh>("asinh"),
    unary<Acosh>("acosh"),
    unary<Atanh>("atanh"),
    by_kernel<Erf, &FunctionKernels::erf>("erf"),
    unary<Not>("not"),
    unary<Truth>("truth"),
    unary<IsNan>("is_nan"),
    unary<IsInfinite>("is_infinite"),
    unary<Shrink>("shrink"),
    unary<Celu>("celu"),
    binary<Add>("add"),
    binary<Subtract>("subtract"),
    binary<Multiply>("multiply"),
    binary<Divide>("divide"),
    binary<DivideInteger>("divide_integer"),
    binary<Power>("power"),
    binary<PowerInteger>("power_integer"),
    binary<Fmod>("fmod"),
    binary<Modulo>("modulo"),
    binary<Minimum>("minimum"),
    binary<Maximum>("maximum"),
    binary<Equal>("equal"),
    binary<Less>("less"),
    binary<LessEqual>("less_equal"),
    binary<And>("and"),
    binary<Or>("or"),
    binary<Xor>("xor"),
    binary<Prelu>("prelu"),
    ternary<Where>("where"),
    ternary<MultiplyAdd>("multiply_add"),
    ternary<Clip>("clip"),
};

}  // namespace

const Function* find_function(const std::string& name) {
  for (const Function& function : kFunctions) {
    if (name == function.name) return &function;
  }
  return nullptr;
}

}  // namespace polyadic

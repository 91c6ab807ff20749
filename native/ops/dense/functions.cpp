#include "functions.h"

#include <algorithm>
#include <cmath>

#include "../../core/dispatch.h"
#include "larger.h"

namespace polyadic {
namespace {

using Numbers = FunctionNumbers;

// Each function is a template over float and double: the second one for integers.
struct Identity {
  template <class T>
  static T of(T x, const Numbers&) {
    return x;
  }
};
struct Abs {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::abs(x);
  }
};
struct Negate {
  template <class T>
  static T of(T x, const Numbers&) {
    return -x;
  }
};
struct Floor {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::floor(x);
  }
};
struct Ceil {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::ceil(x);
  }
};
struct Round {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::nearbyint(x);
  }
};
struct Truncate {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::trunc(x);
  }
};
struct Sign {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::isnan(x) ? x : static_cast<T>((x > 0) - (x < 0));
  }
};
struct Sqrt {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::sqrt(x);
  }
};
struct Reciprocal {
  template <class T>
  static T of(T x, const Numbers&) {
    return T{1} / x;
  }
};
struct Exp {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::exp(x);
  }
};
struct Log {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::log(x);
  }
};
struct Sin {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::sin(x);
  }
};
struct Cos {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::cos(x);
  }
};
struct Tan {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::tan(x);
  }
};
struct Asin {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::asin(x);
  }
};
struct Acos {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::acos(x);
  }
};
struct Atan {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::atan(x);
  }
};
struct Sinh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::sinh(x);
  }
};
struct Cosh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::cosh(x);
  }
};
struct Tanh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::tanh(x);
  }
};
struct Asinh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::asinh(x);
  }
};
struct Acosh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::acosh(x);
  }
};
struct Atanh {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::atanh(x);
  }
};
struct Erf {
  template <class T>
  static T of(T x, const Numbers&) {
    return std::erf(x);
  }
};
struct Not {
  template <class T>
  static T of(T x, const Numbers&) {
    return static_cast<T>(x == 0);
  }
};
struct Truth {
  template <class T>
  static T of(T x, const Numbers&) {
    return static_cast<T>(x != 0);
  }
};
struct IsNan {
  template <class T>
  static T of(T x, const Numbers&) {
    return static_cast<T>(std::isnan(x));
  }
};
// a: whether −∞ counts, b: whether +∞ does.
struct IsInfinite {
  template <class T>
  static T of(T x, const Numbers& n) {
    return static_cast<T>(std::isinf(x) && (x < 0 ? n.a : n.b) != 0);
  }
};
// Towards zero by a beyond ±b.
struct Shrink {
  template <class T>
  static T of(T x, const Numbers& n) {
    const T lambda = static_cast<T>(n.b), bias = static_cast<T>(n.a);
    return x < -lambda ? x + bias : x > lambda ? x - bias : T{0};
  }
};
// a·(e^(x/a) − 1) below 0
struct Celu {
  template <class T>
  static T of(T x, const Numbers& n) {
    const T a = static_cast<T>(n.a);
    return std::max(T{0}, x) + std::min(a * std::expm1(x / a), T{0});  // the second one keeps NaN
  }
};

struct Add {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return x + y;
  }
};
struct Subtract {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return x - y;
  }
};
struct Multiply {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return x * y;
  }
};
struct Divide {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return x / y;
  }
};
struct DivideInteger {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return std::trunc(x / y);
  }
};
struct Power {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return std::pow(x, y);
  }
};
struct PowerInteger {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return std::trunc(std::pow(x, y));
  }
};
struct Fmod {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return std::fmod(x, y);
  }
};
// The sign is the divisor's, as in Python.
struct Modulo {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    const T rest = std::fmod(x, y);
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
  }
};
struct Minimum {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return smaller(x, y);
  }
};
struct Maximum {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return larger(x, y);
  }
};
struct Equal {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>(x == y);
  }
};
struct Less {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>(x < y);
  }
};
struct LessEqual {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>(x <= y);
  }
};
struct And {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>(x != 0 && y != 0);
  }
};
struct Or {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>(x != 0 || y != 0);
  }
};
struct Xor {
  template <class T>
  static T of(T x, T y, const Numbers&) {
    return static_cast<T>((x != 0) != (y != 0));
  }
};
struct Prelu {
  template <class T>
  static T of(T x, T slope, const Numbers&) {
    return x < 0 ? slope * x : x;
  }
};

struct Where {
  template <class T>
  static T of(T c, T x, T y, const Numbers&) {
    return c != 0 ? x : y;
  }
};
struct MultiplyAdd {
  template <class T>
  static T of(T x, T y, T z, const Numbers&) {
    return x * y + z;
  }
};
struct Clip {
  template <class T>
  static T of(T x, T low, T high, const Numbers&) {
    return std::min(std::max(x, low), high);
  }
};

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

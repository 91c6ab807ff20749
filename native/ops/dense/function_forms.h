// What each element-wise function is, of one element.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "functions.h"
#include "larger.h"

namespace polyadic::forms {

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

}  // namespace polyadic::forms

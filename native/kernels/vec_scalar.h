// Plain C++: the twin that every vector kernel is compared with, and what other CPUs run.
// A vector is four floats or two doubles so that the blocked layout is exercised too.
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {

template <int Lanes>
struct Floats {
  static constexpr int kLanes = Lanes;
  static constexpr int kHeldTaps = 3;  // taps whose weights find room in registers beside a run of pixels
  float v[kLanes];
  static Floats zero() { return broadcast(0); }
  static Floats load(const float* p) {
    Floats a;
    for (int i = 0; i < kLanes; ++i) a.v[i] = p[i];
    return a;
  }
  static Floats broadcast(float x) {
    Floats a;
    for (int i = 0; i < kLanes; ++i) a.v[i] = x;
    return a;
  }
  void store(float* p) const {
    for (int i = 0; i < kLanes; ++i) p[i] = v[i];
  }
};

using Vec = Floats<4>;
// What exponentials are made of: of such long chains compilers keep arrays in memory, single floats in registers.
using FunctionVec = Floats<1>;

// a·b + c
template <int Lanes>
inline Floats<Lanes> fma(Floats<Lanes> a, Floats<Lanes> b, Floats<Lanes> c) {
  for (int i = 0; i < Lanes; ++i) c.v[i] += a.v[i] * b.v[i];
  return c;
}

// Where one is NaN or both are equal: b, as vector instructions have it.
template <int Lanes>
inline Floats<Lanes> max(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> min(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
// NaN where either is.
template <int Lanes>
inline Floats<Lanes> max_or_nan(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = a.v[i] > b.v[i] || a.v[i] != a.v[i] ? a.v[i] : b.v[i];
  return a;
}

template <int Lanes>
inline Floats<Lanes> operator+(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] += b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> operator-(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] -= b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> operator*(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] *= b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> operator/(Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] /= b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> sqrt(Floats<Lanes> a) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = sqrtf(a.v[i]);
  return a;
}
template <int Lanes>
inline Floats<Lanes> abs(Floats<Lanes> a) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = fabsf(a.v[i]);
  return a;
}
// |a| with the sign of `sign`, a's own being none.
template <int Lanes>
inline Floats<Lanes> with_sign(Floats<Lanes> a, Floats<Lanes> sign) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = copysignf(a.v[i], sign.v[i]);
  return a;
}
// To the nearest integer, up to ±2²²: nothing behind the point has room beside 1.5 · 2²³.
constexpr float kRoomForIntegers = 12582912.0f;
template <int Lanes>
inline Floats<Lanes> round(Floats<Lanes> a) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = (a.v[i] + kRoomForIntegers) - kRoomForIntegers;
  return a;
}
// a · 2^n for an integer n from −250 to 250, in two factors, as 2^n alone may be no float. NaN stays, n then being
// anything.
template <int Lanes>
inline Floats<Lanes> times_power_of_two(Floats<Lanes> a, Floats<Lanes> n) {
  uint32_t first[Lanes], second[Lanes];
  for (int i = 0; i < Lanes; ++i) n.v[i] += kRoomForIntegers;
  memcpy(first, n.v, sizeof first);
  for (int i = 0; i < Lanes; ++i) {
    const uint32_t whole = first[i] - 0x4b400000;  // n, modulo 2³²
    const uint32_t half = ((whole + 256) >> 1) - 128;
    first[i] = (half + 127) << 23;
    second[i] = (whole - half + 127) << 23;
  }
  Floats<Lanes> power, rest;
  memcpy(power.v, first, sizeof first);
  memcpy(rest.v, second, sizeof second);
  return a * power * rest;
}
// By lane: test > 0 ? a : b, and x = y ? a : b.
template <int Lanes>
inline Floats<Lanes> if_positive(Floats<Lanes> test, Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = test.v[i] > 0 ? a.v[i] : b.v[i];
  return a;
}
template <int Lanes>
inline Floats<Lanes> if_equal(Floats<Lanes> x, Floats<Lanes> y, Floats<Lanes> a, Floats<Lanes> b) {
  for (int i = 0; i < Lanes; ++i) a.v[i] = x.v[i] == y.v[i] ? a.v[i] : b.v[i];
  return a;
}

// The first n < kLanes floats of memory, zero behind them; nothing beyond them is touched.
inline Vec load_first(const float* p, int n) {
  Vec a = Vec::zero();
  for (int i = 0; i < n; ++i) a.v[i] = p[i];
  return a;
}
inline void store_first(float* p, Vec a, int n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}

// Rows become columns.
inline void transpose(Vec (&r)[Vec::kLanes]) {
  for (int i = 0; i < Vec::kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const float kept = r[i].v[j];
      r[i].v[j] = r[j].v[i];
      r[j].v[i] = kept;
    }
  }
}

struct VecD {
  static constexpr int kLanes = 2;
  double v[kLanes];
  static VecD zero() { return {{0, 0}}; }
  static VecD load(const double* p) { return {{p[0], p[1]}}; }
  static VecD broadcast(double x) { return {{x, x}}; }
  void store(double* p) const {
    for (int i = 0; i < kLanes; ++i) p[i] = v[i];
  }
};

inline VecD operator+(VecD a, VecD b) { return {{a.v[0] + b.v[0], a.v[1] + b.v[1]}}; }

inline VecD fma(VecD a, VecD b, VecD c) {
  for (int i = 0; i < VecD::kLanes; ++i) c.v[i] += a.v[i] * b.v[i];
  return c;
}

}  // namespace

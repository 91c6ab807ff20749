// Plain C++: the twin that every vector kernel is compared with, and what other CPUs run.
// A vector is four floats or two doubles so that the blocked layout is exercised too.
#include <math.h>

namespace {

struct Vec {
  static constexpr int kLanes = 4;
  static constexpr int kHeldTaps = 3;  // taps whose weights find room in registers beside a run of pixels
  float v[kLanes];
  static Vec zero() { return {{0, 0, 0, 0}}; }
  static Vec load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static Vec broadcast(float x) { return {{x, x, x, x}}; }
  void store(float* p) const {
    for (int i = 0; i < kLanes; ++i) p[i] = v[i];
  }
};

// a·b + c
inline Vec fma(Vec a, Vec b, Vec c) {
  for (int i = 0; i < Vec::kLanes; ++i) c.v[i] += a.v[i] * b.v[i];
  return c;
}

// Where one is NaN or both are equal: b, as vector instructions have it.
inline Vec max(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
// NaN where either is.
inline Vec max_or_nan(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] = a.v[i] > b.v[i] || a.v[i] != a.v[i] ? a.v[i] : b.v[i];
  return a;
}

inline Vec operator+(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] += b.v[i];
  return a;
}
inline Vec operator-(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] -= b.v[i];
  return a;
}
inline Vec operator*(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] *= b.v[i];
  return a;
}
inline Vec operator/(Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] /= b.v[i];
  return a;
}
inline Vec sqrt(Vec a) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] = sqrtf(a.v[i]);
  return a;
}
// By lane: test > 0 ? a : b, and x = y ? a : b.
inline Vec if_positive(Vec test, Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] = test.v[i] > 0 ? a.v[i] : b.v[i];
  return a;
}
inline Vec if_equal(Vec x, Vec y, Vec a, Vec b) {
  for (int i = 0; i < Vec::kLanes; ++i) a.v[i] = x.v[i] == y.v[i] ? a.v[i] : b.v[i];
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

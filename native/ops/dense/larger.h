// Maxima and minima that NaN takes part in: one of them and the result is NaN, as NumPy has it. Of equals y.
#pragma once

#include <cmath>

namespace polyadic {

template <class T>
inline bool is_larger_of(T x, T y) {
  return x > y || std::isnan(x);
}

template <class T>
inline bool is_smaller_of(T x, T y) {
  return x < y || std::isnan(x);
}

template <class T>
inline T larger(T x, T y) {
  return is_larger_of(x, y) ? x : y;
}

template <class T>
inline T smaller(T x, T y) {
  return is_smaller_of(x, y) ? x : y;
}

// Whether x takes the place of the extremum so far: the first NaN does, and nothing after it.
inline bool is_larger(float x, float best) { return x > best || (std::isnan(x) && !std::isnan(best)); }
inline bool is_smaller(float x, float best) { return x < best || (std::isnan(x) && !std::isnan(best)); }

}  // namespace polyadic

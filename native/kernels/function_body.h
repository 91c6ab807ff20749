// The one body of the vector functions, over FunctionVec. Included once by each ISA's file after its vec_*.h.
// Coefficients are of polynomials with the smallest largest error that counts in the result, highest power first.
#include "function_kernels.h"

namespace {

template <class... Numbers>
inline FunctionVec polynomial(FunctionVec x, float first, Numbers... others) {
  FunctionVec sum = FunctionVec::broadcast(first);
  ((sum = fma(sum, x, FunctionVec::broadcast(others))), ...);
  return sum;
}

// e^x = 2^n · e^r with |r| ≤ ½ ln 2. ln 2 is taken away in two parts, the first one short enough for n times it to be
// exact.
inline FunctionVec exponential(FunctionVec x) {
  // Beyond these everything is ∞ and 0. NaN comes second, which min() and max() give back.
  x = min(FunctionVec::broadcast(89.0f), max(FunctionVec::broadcast(-104.0f), x));
  const FunctionVec n = round(x * FunctionVec::broadcast(1.44269504f));
  const FunctionVec r =
      fma(n, FunctionVec::broadcast(2.12194440e-4f), fma(n, FunctionVec::broadcast(-0.693359375f), x));
  // (e^r − 1 − r) / r²
  const FunctionVec rest = polynomial(r, 0.00138637272f, 0.00836754218f, 0.0416672416f, 0.166665331f, 0.5f);
  return times_power_of_two(fma(r * r, rest, r) + FunctionVec::broadcast(1.0f), n);
}

// 1 − 2 / (e^2|x| + 1), which loses digits where x is small.
inline FunctionVec hyperbolic_tangent(FunctionVec x) {
  const FunctionVec size = abs(x), one = FunctionVec::broadcast(1.0f), limit = FunctionVec::broadcast(0.625f);
  const FunctionVec square = size * size;
  const FunctionVec near =
      fma(size, square * polynomial(square, -0.0057170447f, 0.0206505861f, -0.0537434965f, 0.133314908f, -0.333332837f),
          size);
  const FunctionVec far = one - FunctionVec::broadcast(2.0f) / (exponential(size + size) + one);
  return with_sign(if_positive(limit - size, near, far), x);
}

// By e^−|x|, which does not overflow where the result is small.
inline FunctionVec logistic(FunctionVec x) {
  const FunctionVec one = FunctionVec::broadcast(1.0f);
  const FunctionVec e = exponential(FunctionVec::zero() - abs(x));
  return if_positive(x, one, e) / (one + e);
}

// 1 − e^−p(|x|), p fitted to −ln(1 − erf); where x is small, odd powers of it.
inline FunctionVec error_function(FunctionVec x) {
  const FunctionVec size = abs(x), limit = FunctionVec::broadcast(0.9f);
  const FunctionVec square = size * size;
  const FunctionVec near = fma(
      size,
      polynomial(square, -0.000611129391f, 0.00501622865f, -0.0267819576f, 0.112822302f, -0.376125336f, 0.128379151f),
      size);
  // From 4 on the nearest float is 1.
  const FunctionVec far = polynomial(min(FunctionVec::broadcast(4.0f), size), -0.000198219728f, 0.00306549086f,
                                     -0.0223152153f, 0.104113683f, 0.636976063f, 1.12779725f, 0.000166447164f);
  return with_sign(
      if_positive(limit - size, near, FunctionVec::broadcast(1.0f) - exponential(FunctionVec::zero() - far)), x);
}

template <FunctionVec Of(FunctionVec)>
void map_function(const float* x, float* y, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + FunctionVec::kLanes <= count; i += FunctionVec::kLanes) Of(FunctionVec::load(x + i)).store(y + i);
  if (i == count) return;
  float rest[FunctionVec::kLanes] = {};
  for (std::int64_t k = i; k < count; ++k) rest[k - i] = x[k];
  Of(FunctionVec::load(rest)).store(rest);
  for (std::int64_t k = i; k < count; ++k) y[k] = rest[k - i];
}

constexpr polyadic::FunctionKernels function_kernels() {
  return {map_function<exponential>, map_function<hyperbolic_tangent>, map_function<logistic>,
          map_function<error_function>};
}

}  // namespace

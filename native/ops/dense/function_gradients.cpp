// Slopes of the element-wise functions.
#include <algorithm>
#include <cmath>

#include "../../core/dispatch.h"
#include "functions.h"

namespace polyadic {
namespace {

using Numbers = FunctionNumbers;

// The inputs of one element, those that the function has, and its result.
struct Point {
  float x, y, z, out;
};

using Slope = float (*)(const Point&, const Numbers&);

float zero(const Point&, const Numbers&) { return 0; }
float one(const Point&, const Numbers&) { return 1; }
float minus_one(const Point&, const Numbers&) { return -1; }

template <Slope Of>
void map(const FunctionLine& line, const Numbers& numbers, int inputs, const float* gradient, float* part) {
  const float* x = line.in[0];
  const float* y = inputs > 1 ? line.in[1] : x;
  const float* z = inputs > 2 ? line.in[2] : x;
  const std::int64_t step_x = line.stride[0], step_y = inputs > 1 ? line.stride[1] : 0,
                     step_z = inputs > 2 ? line.stride[2] : 0;
  for (std::int64_t i = 0; i < line.count; ++i) {
    const Point point{x[i * step_x], y[i * step_y], z[i * step_z], line.out[i]};
    part[i] = gradient[i] * Of(point, numbers);
  }
}

using Map = void (*)(const FunctionLine&, const Numbers&, int inputs, const float* gradient, float* part);

template <Slope X>
void unary(const FunctionLine& line, const Numbers& numbers, const float* gradient, int, float* part) {
  map<X>(line, numbers, 1, gradient, part);
}

template <Slope X, Slope Y>
void binary(const FunctionLine& line, const Numbers& numbers, const float* gradient, int input, float* part) {
  constexpr Map kMaps[] = {map<X>, map<Y>};
  kMaps[input](line, numbers, 2, gradient, part);
}

template <Slope X, Slope Y, Slope Z>
void ternary(const FunctionLine& line, const Numbers& numbers, const float* gradient, int input, float* part) {
  constexpr Map kMaps[] = {map<X>, map<Y>, map<Z>};
  kMaps[input](line, numbers, 3, gradient, part);
}

float sign(float x) { return static_cast<float>((x > 0) - (x < 0)); }
float square(float x) { return x * x; }

// Of one value.
float of_abs(const Point& p, const Numbers&) { return sign(p.x); }
float of_sqrt(const Point& p, const Numbers&) { return 0.5f / p.out; }
float of_reciprocal(const Point& p, const Numbers&) { return -square(p.out); }
float of_exp(const Point& p, const Numbers&) { return p.out; }
float of_log(const Point& p, const Numbers&) { return 1 / p.x; }
float of_sin(const Point& p, const Numbers&) { return std::cos(p.x); }
float of_cos(const Point& p, const Numbers&) { return -std::sin(p.x); }
float of_tan(const Point& p, const Numbers&) { return 1 + square(p.out); }
float of_asin(const Point& p, const Numbers&) { return 1 / std::sqrt(1 - square(p.x)); }
float of_acos(const Point& p, const Numbers&) { return -1 / std::sqrt(1 - square(p.x)); }
float of_atan(const Point& p, const Numbers&) { return 1 / (1 + square(p.x)); }
float of_sinh(const Point& p, const Numbers&) { return std::cosh(p.x); }
float of_cosh(const Point& p, const Numbers&) { return std::sinh(p.x); }
float of_tanh(const Point& p, const Numbers&) { return 1 - square(p.out); }
float of_asinh(const Point& p, const Numbers&) { return 1 / std::sqrt(square(p.x) + 1); }
float of_acosh(const Point& p, const Numbers&) { return 1 / std::sqrt(square(p.x) - 1); }
float of_atanh(const Point& p, const Numbers&) { return 1 / (1 - square(p.x)); }
float of_shrink(const Point& p, const Numbers& n) { return std::abs(p.x) > static_cast<float>(n.b) ? 1.0f : 0.0f; }
float of_celu(const Point& p, const Numbers& n) { return p.x < 0 ? std::exp(p.x / static_cast<float>(n.a)) : 1.0f; }

// Of two and three, by each of them.
float other_y(const Point& p, const Numbers&) { return p.y; }
float other_x(const Point& p, const Numbers&) { return p.x; }
float of_dividend(const Point& p, const Numbers&) { return 1 / p.y; }
float of_divisor(const Point& p, const Numbers&) { return -p.out / p.y; }
float of_base(const Point& p, const Numbers&) { return p.y == 0 ? 0.0f : p.y * std::pow(p.x, p.y - 1); }
// No real power has a slope by its exponent where the base is negative; at 0 it is that of the constant 0.
float of_exponent(const Point& p, const Numbers&) { return p.x == 0 ? 0.0f : p.out * std::log(p.x); }
float of_fmod_divisor(const Point& p, const Numbers&) { return -std::trunc(p.x / p.y); }
float of_modulo_divisor(const Point& p, const Numbers&) { return -std::floor(p.x / p.y); }
float takes_smaller_x(const Point& p, const Numbers&) { return p.x < p.y || std::isnan(p.x) ? 1.0f : 0.0f; }
float takes_smaller_y(const Point& p, const Numbers& n) { return 1 - takes_smaller_x(p, n); }
float takes_larger_x(const Point& p, const Numbers&) { return p.x > p.y || std::isnan(p.x) ? 1.0f : 0.0f; }
float takes_larger_y(const Point& p, const Numbers& n) { return 1 - takes_larger_x(p, n); }
float of_prelu(const Point& p, const Numbers&) { return p.x < 0 ? p.y : 1.0f; }
float of_prelu_slope(const Point& p, const Numbers&) { return p.x < 0 ? p.x : 0.0f; }
float if_true(const Point& p, const Numbers&) { return p.x != 0 ? 1.0f : 0.0f; }
float if_false(const Point& p, const Numbers&) { return p.x != 0 ? 0.0f : 1.0f; }
float if_inside(const Point& p, const Numbers&) { return p.x > p.y && p.x < p.z ? 1.0f : 0.0f; }
float if_below(const Point& p, const Numbers&) { return p.x <= p.y && p.y < p.z ? 1.0f : 0.0f; }
float if_above(const Point& p, const Numbers&) { return std::max(p.x, p.y) >= p.z ? 1.0f : 0.0f; }

// 2/√π · e^−x²
void erf_gradient(const FunctionLine& line, const Numbers&, const float* gradient, int, float* part) {
  constexpr std::int64_t kBlock = 256;
  float slope[kBlock];
  for (std::int64_t first = 0; first < line.count; first += kBlock) {
    const std::int64_t count = std::min(kBlock, line.count - first);
    for (std::int64_t i = 0; i < count; ++i) slope[i] = -square(line.in[0][(first + i) * line.stride[0]]);
    kernels().functions.exp(slope, slope, count);
    for (std::int64_t i = 0; i < count; ++i) part[first + i] = gradient[first + i] * (1.12837917f * slope[i]);
  }
}

struct Entry {
  const char* name;
  FunctionGradient gradient;
};

constexpr Entry kGradients[] = {
    {"identity", unary<one>},
    {"abs", unary<of_abs>},
    {"negate", unary<minus_one>},
    {"floor", unary<zero>},
    {"ceil", unary<zero>},
    {"round", unary<zero>},
    {"truncate", unary<zero>},
    {"sign", unary<zero>},
    {"sqrt", unary<of_sqrt>},
    {"reciprocal", unary<of_reciprocal>},
    {"exp", unary<of_exp>},
    {"log", unary<of_log>},
    {"sin", unary<of_sin>},
    {"cos", unary<of_cos>},
    {"tan", unary<of_tan>},
    {"asin", unary<of_asin>},
    {"acos", unary<of_acos>},
    {"atan", unary<of_atan>},
    {"sinh", unary<of_sinh>},
    {"cosh", unary<of_cosh>},
    {"tanh", unary<of_tanh>},
    {"asinh", unary<of_asinh>},
    {"acosh", unary<of_acosh>},
    {"atanh", unary<of_atanh>},
    {"erf", erf_gradient},
    {"not", unary<zero>},
    {"truth", unary<zero>},
    {"is_nan", unary<zero>},
    {"is_infinite", unary<zero>},
    {"shrink", unary<of_shrink>},
    {"celu", unary<of_celu>},
    {"add", binary<one, one>},
    {"subtract", binary<one, minus_one>},
    {"multiply", binary<other_y, other_x>},
    {"divide", binary<of_dividend, of_divisor>},
    {"divide_integer", binary<zero, zero>},
    {"power", binary<of_base, of_exponent>},
    {"power_integer", binary<zero, zero>},
    {"fmod", binary<one, of_fmod_divisor>},
    {"modulo", binary<one, of_modulo_divisor>},
    {"minimum", binary<takes_smaller_x, takes_smaller_y>},
    {"maximum", binary<takes_larger_x, takes_larger_y>},
    {"equal", binary<zero, zero>},
    {"less", binary<zero, zero>},
    {"less_equal", binary<zero, zero>},
    {"and", binary<zero, zero>},
    {"or", binary<zero, zero>},
    {"xor", binary<zero, zero>},
    {"prelu", binary<of_prelu, of_prelu_slope>},
    {"where", ternary<zero, if_true, if_false>},
    {"multiply_add", ternary<other_y, other_x, one>},
    {"clip", ternary<if_inside, if_below, if_above>},
};

}  // namespace

FunctionGradient find_gradient(const std::string& name) {
  for (const Entry& entry : kGradients) {
    if (name == entry.name) return entry.gradient;
  }
  return nullptr;
}

}  // namespace polyadic

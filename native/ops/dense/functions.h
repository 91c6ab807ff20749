// Element-wise functions of one, two and three values, a line at a time.
#pragma once

#include <cstdint>
#include <string>

namespace polyadic {

// Up to three inputs, each with a stride (0 where it is broadcast), and a contiguous output.
struct FunctionLine {
  const float* in[3];
  std::int64_t stride[3];
  float* out;
  std::int64_t count;
};

struct FunctionNumbers {
  double a = 0, b = 0;
};

// Integers are computed in float64: `run_integer` says whether every result is one that float32 holds exactly.
struct Function {
  const char* name = nullptr;
  int inputs = 0;
  void (*run)(const FunctionLine&, const FunctionNumbers&) = nullptr;
  bool (*run_integer)(const FunctionLine&, const FunctionNumbers&, int bits, bool is_signed) = nullptr;
};

// Null when there is no function of that name.
const Function* find_function(const std::string& name);

// Of a line that has run (`out` holds its results), with the gradient of those: what is input `input`'s part of it. A
// function that is constant but for jumps has a slope of 0, a maximum's goes to the operand that was taken.
using FunctionGradient = void (*)(const FunctionLine&, const FunctionNumbers&, const float* gradient, int input,
                                  float* part);

// Of every function that find_function() knows.
FunctionGradient find_gradient(const std::string& name);

}  // namespace polyadic

// Steps over dense values: row-major tensors of any rank. Their shapes are in the steps, a value is only its elements.
// See lib/runtime/dense-spec.ts, which documents every field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace polyadic {

using Dims = std::vector<std::int64_t>;

// Element (i0, i1, …) of a value lies at offset + Σ i·stride.
struct DenseView {
  std::int64_t offset = 0;
  Dims strides;
};

// A block of elements that moves from an input to the output.
struct CopyPiece {
  std::size_t input = 0;
  Dims dims;
  DenseView from, to;
};

struct DenseSpec {
  std::string function;           // which element-wise function, reduction, …
  Dims dims;                      // elementwise, reduce (kept), take, gather
  std::vector<DenseView> views;   // elementwise: one an input; reduce: kept, reduced; matmul: a, b
  std::vector<CopyPiece> pieces;  // copy
  bool has_fill = false;
  float fill = 0;                         // copy, take
  std::vector<Dims> tables;               // take: offsets by axis; pool: spatial, kernel, strides, …
  std::vector<float> numbers;             // constants of functions; weights of interpolate
  std::vector<std::string> names;         // scatter: how updates are combined
  Dims reduced;                           // reduce
  Dims sizes;                             // the sizes that the op is made of, in the order of its documentation
  int integer_bits = 0;                   // elementwise: 0 for floats
  bool integer_signed = true;             // elementwise
  bool flags[3] = {false, false, false};  // documented by each op
};

}  // namespace polyadic

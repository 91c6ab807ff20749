// Gradients through views: what was read through strides is added to through the same strides.
#pragma once

#include "nest.h"

namespace polyadic {

// to[view] += from[view]. Elements of `to` may be met several times (broadcast, overlapping windows): each is summed by
// one thread, in an order that does not depend on how many there are.
class ViewSum {
 public:
  ViewSum() = default;
  ViewSum(const Dims& dims, const DenseView& from, const DenseView& to);

  void add(const Context& context, const float* from, float* to) const;

  // Whether every element of `to` is met once at most.
  bool is_direct() const { return again_.dims.empty(); }

 private:
  void add_repeated(const Context& context, const float* from, float* to) const;
  void add_overlapping(const Context& context, const float* from, float* to) const;

  Nest apart_;             // over axes along which elements of `to` are never met again
  Nest again_;             // over the others
  bool repeated_ = false;  // those do not move in `to`
};

}  // namespace polyadic

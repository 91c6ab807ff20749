// What gathers and scatters share: which row of the data each index means.
#pragma once

#include "dense.h"

namespace polyadic {

// Index of an axis of `size`, counted from the end where negative; −1 when it does not exist.
std::int64_t resolve_index(float index, std::int64_t size);

// Inputs: data, indices. An index, or a tuple of them, means a row of the data; the rows that they mean stand one after
// another in what is called the picked value, a gather's output or a scatter's updates.
//   elements: dims of the indices, views: data; sizes: axis, size of the data along it. A row is the element at the
//             index' own position, but along the axis at the index.
//   nd:       sizes batch, indices of a batch, row. dims: the data's axes that an index addresses.
class IndexedStep : public DenseStep {
 protected:
  // `name`: of the step, for messages.
  IndexedStep(const StepSpec& spec, StepResources resources, const char* name)
      : DenseStep(spec, resources), name_(name) {}

  // Of each of the two functions, before the first row: throws Error(argument) unless data, indices and picked value
  // are of the sizes that the spec says.
  void expect_rows(const Value& picked);
  // Throws Error(argument): forward() met an index that does not exist.
  [[noreturn]] void refuse_index() const;

  std::int64_t rows() const { return rows_; }
  // Elements of one.
  std::int64_t row() const { return row_; }

  // f(where a row begins in the data, where it does in the picked value), in the order of the indices. Those that do
  // not exist are passed over, then refused.
  template <class F>
  void each_row(F&& f) const {
    const bool inside = by_tuples_ ? each_tuple(f) : each_element(f);
    if (!inside) refuse_index();
  }

 private:
  template <class F>
  bool each_element(F&& f) const {
    bool inside = true;
    const std::size_t axis = static_cast<std::size_t>(spec_.sizes[0]);
    const DenseView& view = spec_.views[0];
    Dims position(spec_.dims.size(), 0);
    for (std::int64_t i = 0; i < rows_; ++i) {
      const std::int64_t index = resolve_index(in(1).data[i], spec_.sizes[1]);
      std::int64_t at = view.offset;
      for (std::size_t k = 0; k < position.size(); ++k) at += view.strides[k] * (k == axis ? index : position[k]);
      if (index < 0) {
        inside = false;
      } else {
        f(at, i);
      }
      for (std::size_t k = position.size(); k-- > 0 && ++position[k] == spec_.dims[k];) position[k] = 0;
    }
    return inside;
  }

  template <class F>
  bool each_tuple(F&& f) const {
    bool inside = true;
    const std::int64_t many = spec_.sizes[1];
    const std::size_t rank = spec_.dims.size();
    const std::int64_t image = product(spec_.dims) * row_;
    for (std::int64_t i = 0; i < rows_; ++i) {
      std::int64_t at = 0;
      bool exists = true;
      for (std::size_t k = 0; k < rank; ++k) {
        const std::int64_t index = resolve_index(in(1).data[static_cast<std::size_t>(i) * rank + k], spec_.dims[k]);
        exists = exists && index >= 0;
        at = at * spec_.dims[k] + index;
      }
      if (!exists) {
        inside = false;
        continue;
      }
      f(i / many * image + at * row_, i * row_);
    }
    return inside;
  }

  const char* name_;
  bool by_tuples_ = false;
  std::int64_t rows_ = 0, row_ = 1;
};

}  // namespace polyadic

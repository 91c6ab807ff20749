// Dense matrix products on the convolution kernels: B is packed into panels, rows of A are the kernel's pixels.
#pragma once

#include <cstdint>

#include "../../core/buffer.h"
#include "../../core/dispatch.h"
#include "../context.h"

namespace polyadic {

class PackedMatrix {
 public:
  PackedMatrix() = default;
  // For a matrix of `inner` rows and `columns` columns.
  PackedMatrix(std::int64_t inner, std::int64_t columns);

  std::int64_t panels() const { return panels_; }
  // Element (k, j) is at b[k·row + j·column]. One panel, so that several threads can pack.
  void pack(std::int64_t panel, const float* b, std::int64_t row, std::int64_t column);

  // Rows [0, m) of C = A·B (+ C) for the columns of one panel, on the calling thread. A's elements (i, k) are at
  // a[i·a_row + k·a_column]; C's rows are contiguous, c_row apart. m is at most kRows.
  static constexpr int kRows = 96;
  void multiply(std::int64_t panel, const float* a, std::int64_t a_row, std::int64_t a_column, std::int64_t m, float* c,
                std::int64_t c_row, bool accumulate) const;

  // All panels; all columns of any number of rows, on several threads where that pays.
  void pack_all(const Context& context, const float* b, std::int64_t row, std::int64_t column);
  void multiply_all(const Context& context, const float* a, std::int64_t a_row, std::int64_t a_column, std::int64_t m,
                    float* c, std::int64_t c_row, bool accumulate) const;

  std::size_t bytes() const { return packed_.size() * sizeof(float); }

 private:
  std::int64_t first_column(std::int64_t panel) const { return panel * width_; }
  int blocks_of(std::int64_t panel) const;

  const KernelTable* table_ = nullptr;
  std::int64_t inner_ = 0, columns_ = 0, panels_ = 0, width_ = 0;  // width_: columns of a panel
  Buffer packed_;                                                  // panel after panel, [inner][blocks][block]
};

}  // namespace polyadic

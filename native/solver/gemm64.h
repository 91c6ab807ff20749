// Blocked float64 matrix product over the gemm_tile kernel of the table in use.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/job_control.h"

namespace polyadic::solver {

// A matrix that is read: element (i, j) is data[i·row + j·column]. Transposing swaps the two strides.
struct Strided {
  const double* data;
  std::int64_t row;
  std::int64_t column;
  Strided transposed() const { return {data, column, row}; }
};

// Row-major, `columns` apart from row to row.
inline Strided row_major(const double* data, std::int64_t columns) { return {data, columns, 1}; }

// The Khatri–Rao product of two matrices of n columns, not formed: row i is outer row i / inner_rows times inner row
// i % inner_rows, element by element. Without an outer matrix, the inner one.
struct RowProducts {
  const double* outer;
  const double* inner;
  std::int64_t inner_rows;
};

// A right-hand matrix as the kernel wants it, for one that is multiplied with many times.
struct PackedRight {
  PackedRight() = default;
  PackedRight(PackedRight&&) = default;
  PackedRight& operator=(PackedRight&&) = default;

  std::int64_t n = 0;
  std::int64_t k = 0;
  std::vector<double> buffer;
  double* data = nullptr;  // 64-byte aligned in buffer
};

// A row-major rows×columns matrix held in panels of mr columns, each rows×mr: T itself, packed once. In this form both
// T·B and Tᵀ·B run without packing it again. Scaled on the way in, and the last panel is filled up with zeros.
class PanelMatrix {
 public:
  PanelMatrix() = default;
  PanelMatrix(const double* data, std::int64_t rows, std::int64_t columns, double scale, int threads);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t width() const { return width_; }  // of a panel: mr of the table in use
  std::int64_t panels() const { return (columns_ + width_ - 1) / width_; }
  std::int64_t hop() const { return hop_; }  // doubles from panel to panel
  const double* panel(std::int64_t p) const { return buffer_.data() + p * hop_; }
  double* panel(std::int64_t p) { return buffer_.data() + p * hop_; }
  bool empty() const { return buffer_.empty(); }

 private:
  std::int64_t rows_ = 0, columns_ = 0, width_ = 1, hop_ = 0;
  std::vector<double> buffer_;
};

// Holds the packing buffers from call to call. One Gemm serves one calling thread. Every call ends with Error(aborted)
// soon after the job was cancelled: what takes long in the solver goes through here.
class Gemm {
 public:
  // control: kept by the caller
  Gemm(int threads, const JobControl& control) : threads_(threads), control_(&control) {}

  int threads() const { return threads_; }
  const JobControl& control() const { return *control_; }

  // C[m×n] = alpha·A[m×k]·B[k×n], or C += with accumulate. C is row-major with leading dimension ldc.
  // The blocks and the order of summation depend on the shape alone: any number of threads gives the same bits.
  void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                bool accumulate = false, double alpha = 1.0);

  // dst = B[k×n], packed.
  void pack_right(std::int64_t n, std::int64_t k, Strided b, PackedRight& dst);
  // The same as multiply with the B that was packed, n > 1 or not.
  void multiply(std::int64_t m, Strided a, const PackedRight& b, double* c, std::int64_t ldc, bool accumulate = false,
                double alpha = 1.0);

  // C[rows×n] = T·B with B columns×n, and C[columns×n] = Tᵀ·B with B rows×n. C is row-major and dense.
  void multiply(const PanelMatrix& t, std::int64_t n, const RowProducts& b, double* c);
  void multiply_transposed(const PanelMatrix& t, std::int64_t n, const RowProducts& b, double* c);

 private:
  void pack_products(std::int64_t n, std::int64_t k, std::int64_t real, std::int64_t depth, const RowProducts& b);
  void vector_product(std::int64_t m, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc, double alpha);
  template <class Task>
  void run(int threads, std::int64_t count, const Task& task) const;
  template <class Task>
  void split_depth(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t block, double* c, std::int64_t ldc,
                   bool add, const Task& task);
  double* aligned(std::vector<double>& buffer, std::int64_t length);

  int threads_;
  const JobControl* control_;
  std::vector<double> packed_a_;  // one block of A a thread
  PackedRight packed_b_;          // all of B
  std::vector<double> vector_;    // B of one column
  std::vector<double> partial_;   // one C a split of k
};

}  // namespace polyadic::solver

// Blocked float64 matrix product over the gemm_tile kernel of the table in use.
#pragma once

#include <cstdint>
#include <vector>

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

// Holds the packing buffers from call to call. One Gemm serves one calling thread.
class Gemm {
 public:
  explicit Gemm(int threads) : threads_(threads) {}

  int threads() const { return threads_; }

  // C[m×n] = alpha·A[m×k]·B[k×n], or C += with accumulate. C is row-major with leading dimension ldc.
  // The blocks and the order of summation depend on the shape alone: any number of threads gives the same bits.
  void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                bool accumulate = false, double alpha = 1.0);

 private:
  void vector_product(std::int64_t m, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc, double alpha);
  double* aligned(std::vector<double>& buffer, std::int64_t length);

  int threads_;
  std::vector<double> packed_a_;   // one block of A a thread
  std::vector<double> packed_b_;   // all of B
  std::vector<double> partial_;    // one C a split of k
};

}  // namespace polyadic::solver

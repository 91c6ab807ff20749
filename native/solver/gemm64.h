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

// Holds the packing buffers from call to call. One Gemm serves one calling thread.
class Gemm {
 public:
  explicit Gemm(int threads) : threads_(threads) {}

  int threads() const { return threads_; }

  // C[m×n] = alpha·A[m×k]·B[k×n], or C += with accumulate. C is row-major with leading dimension ldc.
  // The blocks and the order of summation depend on the shape alone: any number of threads gives the same bits.
  void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                bool accumulate = false, double alpha = 1.0);

  // dst = B[k×n], packed.
  void pack_right(std::int64_t n, std::int64_t k, Strided b, PackedRight& dst);
  // The same as multiply with the B that was packed, n > 1 or not.
  void multiply(std::int64_t m, Strided a, const PackedRight& b, double* c, std::int64_t ldc, bool accumulate = false,
                double alpha = 1.0);

 private:
  void vector_product(std::int64_t m, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc, double alpha);
  double* aligned(std::vector<double>& buffer, std::int64_t length);

  int threads_;
  std::vector<double> packed_a_;  // one block of A a thread
  PackedRight packed_b_;          // all of B
  std::vector<double> vector_;    // B of one column
  std::vector<double> partial_;   // one C a split of k
};

}  // namespace polyadic::solver

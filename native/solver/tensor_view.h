// A dense row-major tensor and a set of CP factors, as the solver sees them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace polyadic::solver {

constexpr int kMinOrder = 2;
constexpr int kMaxOrder = 6;

inline std::int64_t product(const std::vector<std::int64_t>& dims, std::size_t begin, std::size_t end) {
  std::int64_t result = 1;
  for (std::size_t n = begin; n < end; ++n) result *= dims[n];
  return result;
}

// Modes [0, split) make the left half, the others the right one. Row-major, the tensor is a left×right matrix as it
// lies.
struct Split {
  std::size_t split;
  std::int64_t left;
  std::int64_t right;
};

// The split with the smallest left + right: that is what the Khatri–Rao matrices and partial products of the halves
// take.
inline Split best_split(const std::vector<std::int64_t>& dims) {
  Split best{1, dims[0], product(dims, 1, dims.size())};
  for (std::size_t s = 2; s < dims.size(); ++s) {
    const Split candidate{s, product(dims, 0, s), product(dims, s, dims.size())};
    if (candidate.left + candidate.right < best.left + best.right) best = candidate;
  }
  return best;
}

// All factors in one vector, A_n (I_n×R row-major) behind A_{n−1}: what CG and the line searches work on.
class Factors {
 public:
  Factors() = default;
  Factors(const std::vector<std::int64_t>& dims, std::int64_t rank) : dims_(dims), rank_(rank) {
    std::int64_t offset = 0;
    for (const std::int64_t dim : dims) {
      offsets_.push_back(offset);
      offset += dim * rank;
    }
    values_.assign(static_cast<std::size_t>(offset), 0.0);
  }

  std::size_t order() const { return dims_.size(); }
  std::int64_t rank() const { return rank_; }
  std::int64_t dim(std::size_t n) const { return dims_[n]; }
  const std::vector<std::int64_t>& dims() const { return dims_; }
  double* mode(std::size_t n) { return values_.data() + offsets_[n]; }
  const double* mode(std::size_t n) const { return values_.data() + offsets_[n]; }
  double* data() { return values_.data(); }
  const double* data() const { return values_.data(); }
  std::int64_t size() const { return static_cast<std::int64_t>(values_.size()); }
  void fill(double value) { std::fill(values_.begin(), values_.end(), value); }

 private:
  std::vector<std::int64_t> dims_;
  std::vector<std::int64_t> offsets_;
  std::vector<double> values_;
  std::int64_t rank_ = 0;
};

}  // namespace polyadic::solver

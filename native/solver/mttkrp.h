// K_n = T_(n)·(⊙_{k≠n} A_k) for all n without unfolding T: two matrix products with the Khatri–Rao matrices of a left
// and a right half of the modes, and every K_n contracted from one of the two results (a two-leaf dimension tree).
// Memory beside T: 2·(left + right)·R doubles.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"
#include "tensor_view.h"

namespace polyadic::solver {

class Mttkrp {
 public:
  Mttkrp(const std::vector<std::int64_t>& dims, std::int64_t rank) : Mttkrp(dims, rank, best_split(dims)) {}
  Mttkrp(const std::vector<std::int64_t>& dims, std::int64_t rank, Split split);

  const Split& split() const { return split_; }

  // T as left×right panels, times scale: what the products of many sweeps are made from.
  PanelMatrix panels(Gemm& gemm, const double* tensor, double scale) const;

  // The partial product that serves the left modes, T·KR(right), left×R; it depends on the right factors only.
  void prepare_left(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors);
  void prepare_left(Gemm& gemm, const double* tensor, const Factors& factors);
  // The one that serves the right modes, Tᵀ·KR(left), right×R; it depends on the left factors only.
  void prepare_right(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors);
  void prepare_right(Gemm& gemm, const double* tensor, const Factors& factors);

  // KR of the right modes, valid until the next call.
  RowProducts right_products(int threads, const Factors& factors) {
    return products(threads, factors, split_.split, dims_.size(), kr_right_);
  }
  // The partial product of the right modes, right×R: contract works on whatever stands here.
  double* right() { return right_.data(); }

  // dst (I_n×R) = K_n from the partial product of its half and the other factors of that half.
  void contract(Gemm& gemm, std::size_t n, const Factors& factors, double* dst);

  // The model M = KR(left)·KR(right)ᵀ, left×right, is subtracted from `tensor`, which holds T.
  void subtract_model(Gemm& gemm, const Factors& factors, double* tensor);

  // dst = T − M in panels, a block of rows at a time; returns ‖T − M‖². With dst null only the norm is found.
  double residual(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors, PanelMatrix* dst);

  // Follows a rescaling of the columns: column r of A_n was multiplied by scale[n·R + r].
  void rescale_left(const std::vector<double>& scale);

 private:
  RowProducts products(int threads, const Factors& factors, std::size_t begin, std::size_t end,
                       std::vector<double>& dst);
  void khatri_rao(int threads, const Factors& factors, std::size_t begin, std::size_t end, std::vector<double>& dst);

  std::vector<std::int64_t> dims_;
  std::int64_t rank_;
  Split split_;
  std::vector<double> kr_left_, kr_right_;  // left×R, right×R
  std::vector<double> left_, right_;        // the partial products
  std::vector<double> work_[2];
  std::vector<double> block_;  // rows of M
};

}  // namespace polyadic::solver

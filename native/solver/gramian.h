// Gramians W_n = A_nᵀA_n, their Hadamard products, and the Gauss–Newton matrix applied to a direction.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm64.h"
#include "tensor_view.h"

namespace polyadic::solver {

class Gramians {
 public:
  explicit Gramians(const Factors& factors);

  void update(Gemm& gemm, const Factors& factors);                      // all W_n
  void update_mode(Gemm& gemm, const Factors& factors, std::size_t n);  // W_n alone

  const double* gram(std::size_t n) const { return grams_[n].data(); }

  // dst (R×R) = Γ^(n) = ⊛_{k≠n} W_k; with n = order: of all of them.
  void hadamard_except(std::size_t n, double* dst) const { hadamard_except(n, n, dst); }
  // dst (R×R) = Γ^(n,m)
  void hadamard_except(std::size_t n, std::size_t m, double* dst) const;

  // ‖M‖² = 1ᵀ(⊛ W_k)1
  double model_norm_squared() const;

  // Γ^(n) and Γ^(n,m) of all modes and the packed A_n, for jacobian_product. After update.
  void prepare(Gemm& gemm, const Factors& factors);
  const double* gamma(std::size_t n) const { return gammas_[n].data(); }

  // dst = JᵀJ·p: (JᵀJ·P)_n = P_n·Γ^(n) + A_n·Σ_{m≠n} Γ^(n,m) ⊛ (P_mᵀA_m). After prepare.
  void jacobian_product(Gemm& gemm, const Factors& factors, const Factors& p, Factors& dst);

 private:
  std::size_t order_;
  std::int64_t rank_;
  std::vector<std::vector<double>> grams_;   // W_n
  std::vector<std::vector<double>> gammas_;  // Γ^(n)
  std::vector<std::vector<double>> pairs_;   // Γ^(n,m), n < m, in the order of pair()
  std::vector<std::vector<double>> cross_;   // P_mᵀA_m
  std::vector<PackedRight> packed_gammas_;   // Γ^(n)
  std::vector<PackedRight> packed_factors_;  // A_n
  std::vector<double> sum_;

  std::size_t pair(std::size_t n, std::size_t m) const;
};

// Scales each column so that it has the same norm in every mode: the model stays, the null space of J is kept away
// from. Returns the scale of each column of each mode, [n·R + r]. Components without weight become zero in every mode.
std::vector<double> balance(Factors& factors);

// ‖a_n,r‖² as [n·R + r]
std::vector<double> column_norms_squared(const Factors& factors);

}  // namespace polyadic::solver

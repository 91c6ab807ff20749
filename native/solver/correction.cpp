#include "correction.h"

#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"
#include "symmetric_eigen.h"

namespace polyadic::solver {
namespace {

constexpr int kMaxSweeps = 40;
constexpr double kSettled = 2e-3;  // relative change of the sensitivity in a sweep
constexpr double kFlat = 1e-14;    // eigenvalues below this, relative, carry no information
constexpr int kBisections = 60;

// Columns in the scaling that is best for a given model have ‖a_n,r‖² ∝ I_n, and then the sensitivity is, but for a
// constant, what Σ_n Σ_r Π_{m≠n}‖a_m,r‖² is for columns of equal norm. So the correction minimises the latter.
std::vector<double> sensitivity_weights(const Factors& factors, std::size_t n) {
  const std::vector<double> norms = column_norms_squared(factors);
  const std::int64_t rank = factors.rank();
  std::vector<double> weights(static_cast<std::size_t>(rank), 0.0);
  double largest = 0;
  for (std::int64_t r = 0; r < rank; ++r) {
    for (std::size_t m = 0; m < factors.order(); ++m) {
      if (m == n) continue;
      double others = 1;
      for (std::size_t k = 0; k < factors.order(); ++k) {
        if (k != m && k != n) others *= norms[static_cast<std::int64_t>(k) * rank + r];
      }
      weights[r] += others;
    }
    largest = std::max(largest, weights[r]);
  }
  for (double& weight : weights) weight = std::max(weight, 1e-12 * largest);
  return weights;
}

// In the eigenbasis of D^{-1/2}·Γ·D^{-1/2} the squared error grows from its least value by Σ z_j λ²/(s_j(s_j + λ)²).
double growth(const std::vector<double>& s, const std::vector<double>& z, double lambda) {
  double sum = 0;
  for (std::size_t j = 0; j < s.size(); ++j) {
    const double damped = lambda / (s[j] + lambda);
    sum += s[j] > 0 ? z[j] / s[j] * damped * damped : 0.0;
  }
  return sum;
}

double largest_lambda(const std::vector<double>& s, const std::vector<double>& z, double room) {
  const double top = s.back();
  double low = 0, high = top * 1e-12;
  while (growth(s, z, high) < room && high < top * 1e12) {
    low = high;
    high *= 8;
  }
  for (int i = 0; i < kBisections && high > low * (1 + 1e-12); ++i) {
    const double middle = 0.5 * (low + high);
    (growth(s, z, middle) <= room ? low : high) = middle;
  }
  return low;
}

class Correction {
 public:
  Correction(Problem& problem, Factors& x, double error, double allowed)
      : problem_(problem),
        gemm_(problem.gemm),
        x_(x),
        gramians_(x),
        squared_(error * error),
        allowed_(allowed * allowed),
        gamma_(static_cast<std::size_t>(x.rank() * x.rank())) {}

  void run();

 private:
  void update(std::size_t n);

  Problem& problem_;
  Gemm& gemm_;
  Factors& x_;
  Gramians gramians_;
  double squared_;  // ‖T − M‖² now
  double allowed_;
  std::vector<double> gamma_, k_, rotated_, gradient_, slope_;
};

// Minimises Σ_r w_r‖a_n,r‖² over A_n with the error at its bound: A_n = K_n·(Γ + λD)⁻¹.
void Correction::update(std::size_t n) {
  const std::int64_t rank = x_.rank(), rows = x_.dim(n);
  const auto length = static_cast<std::size_t>(rows * rank);
  k_.resize(length);
  rotated_.resize(length);
  gradient_.resize(length);
  slope_.resize(length);
  double* a = x_.mode(n);
  gramians_.hadamard_except(n, gamma_.data());
  problem_.mttkrp.contract(gemm_, n, x_, k_.data());
  gemm_.multiply(rows, rank, rank, row_major(a, rank), row_major(gamma_.data(), rank), gradient_.data(), rank);
  add_scaled(-1, k_.data(), gradient_.data(), rows * rank);

  std::vector<double> shrink = sensitivity_weights(x_, n);
  for (double& weight : shrink) weight = 1 / std::sqrt(weight);
  for (std::int64_t i = 0; i < rank; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) gamma_[i * rank + j] *= shrink[i] * shrink[j];
  }
  std::vector<double> s, q;
  symmetric_eigen(rank, gamma_.data(), gemm_.control(), s, q);
  if (!(s.back() > 0)) return;
  for (double& value : s) value = value > kFlat * s.back() ? value : 0.0;
  for (std::int64_t i = 0; i < rank; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) q[i * rank + j] *= shrink[i];
  }
  gemm_.multiply(rows, rank, rank, row_major(k_.data(), rank), row_major(q.data(), rank), rotated_.data(), rank);
  gemm_.multiply(rows, rank, rank, row_major(gradient_.data(), rank), row_major(q.data(), rank), slope_.data(), rank);
  std::vector<double> z(s.size(), 0.0);
  double least = squared_;  // the squared error at λ = 0
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) {
      z[j] += rotated_[i * rank + j] * rotated_[i * rank + j];
      if (s[j] > 0) least -= slope_[i * rank + j] * slope_[i * rank + j] / s[j];
    }
  }
  const double room = allowed_ - std::max(0.0, least);
  if (!(room > 0)) return;
  const double lambda = largest_lambda(s, z, room);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < rank; ++j) {
      double& entry = rotated_[i * rank + j];
      entry = s[j] > 0 ? entry / (s[j] + lambda) : 0.0;
    }
  }
  gemm_.multiply(rows, rank, rank, row_major(rotated_.data(), rank), row_major(q.data(), rank).transposed(), a, rank);
  squared_ = std::max(0.0, least) + growth(s, z, lambda);
  gramians_.update_mode(gemm_, x_, n);
}

void Correction::run() {
  const std::size_t split = problem_.mttkrp.split().split;
  balance(x_);
  double before = sensitivity(x_);
  Factors best = x_;
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    gramians_.update(gemm_, x_);
    problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), x_);
    for (std::size_t n = 0; n < x_.order(); ++n) {
      if (n == split) problem_.mttkrp.prepare_right(gemm_, problem_.tensor(), x_);
      update(n);
    }
    balance(x_);
    const double after = sensitivity(x_);
    if (!(after < before)) break;
    best = x_;
    if (before - after < kSettled * before) break;
    before = after;
  }
  x_ = best;
}

}  // namespace

double sensitivity(const Factors& factors) {
  const std::vector<double> norms = column_norms_squared(factors);
  const std::int64_t rank = factors.rank();
  double sum = 0;
  for (std::size_t n = 0; n < factors.order(); ++n) {
    for (std::int64_t r = 0; r < rank; ++r) {
      double others = static_cast<double>(factors.dim(n));
      for (std::size_t m = 0; m < factors.order(); ++m) {
        if (m != n) others *= norms[static_cast<std::int64_t>(m) * rank + r];
      }
      sum += others;
    }
  }
  return sum;
}

double congruence(Gemm& gemm, const Factors& factors) {
  Gramians gramians(factors);
  gramians.update(gemm, factors);
  const std::int64_t rank = factors.rank();
  double largest = 0;
  for (std::int64_t r = 0; r < rank; ++r) {
    for (std::int64_t s = 0; s < r; ++s) {
      double cosine = 1;
      for (std::size_t n = 0; n < factors.order(); ++n) {
        const double* w = gramians.gram(n);
        const double norm = std::sqrt(w[r * rank + r]) * std::sqrt(w[s * rank + s]);
        cosine *= norm > 0 ? w[r * rank + s] / norm : 0.0;
      }
      largest = std::max(largest, std::abs(cosine));
    }
  }
  return std::min(largest, 1.0);
}

double component_norm(const Factors& factors) {
  const std::vector<double> norms = column_norms_squared(factors);
  const std::int64_t rank = factors.rank();
  double sum = 0;
  for (std::int64_t r = 0; r < rank; ++r) {
    double weight = 1;
    for (std::size_t n = 0; n < factors.order(); ++n) weight *= norms[static_cast<std::int64_t>(n) * rank + r];
    sum += weight;
  }
  return sum;
}

void correct(Problem& problem, Factors& factors, double error, double allowed) {
  if (!(allowed > 0)) return;
  Correction(problem, factors, error, allowed).run();
}

}  // namespace polyadic::solver

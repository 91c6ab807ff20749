#include "gramian.h"

#include <algorithm>
#include <cmath>

#include "linalg.h"

namespace polyadic::solver {

Gramians::Gramians(const Factors& factors) : order_(factors.order()), rank_(factors.rank()) {
  const auto square = static_cast<std::size_t>(rank_ * rank_);
  grams_.assign(order_, std::vector<double>(square));
  gammas_.assign(order_, std::vector<double>(square));
  cross_.assign(order_, std::vector<double>(square));
  pairs_.assign(order_ * (order_ - 1) / 2, std::vector<double>(square));
  sum_.resize(square);
}

void Gramians::update(Gemm& gemm, const Factors& factors) {
  for (std::size_t n = 0; n < order_; ++n) update_mode(gemm, factors, n);
}

void Gramians::update_mode(Gemm& gemm, const Factors& factors, std::size_t n) {
  const Strided a = row_major(factors.mode(n), rank_);
  gemm.multiply(rank_, rank_, factors.dim(n), a.transposed(), a, grams_[n].data(), rank_);
}

void Gramians::hadamard_except(std::size_t n, std::size_t m, double* dst) const {
  std::fill(dst, dst + rank_ * rank_, 1.0);
  for (std::size_t k = 0; k < order_; ++k) {
    if (k == n || k == m) continue;
    const double* w = grams_[k].data();
    for (std::int64_t i = 0; i < rank_ * rank_; ++i) dst[i] *= w[i];
  }
}

double Gramians::model_norm_squared() const {
  std::vector<double> all(static_cast<std::size_t>(rank_ * rank_));
  hadamard_except(order_, all.data());
  double sum = 0;
  for (const double entry : all) sum += entry;
  return sum;
}

std::size_t Gramians::pair(std::size_t n, std::size_t m) const {
  const std::size_t low = std::min(n, m), high = std::max(n, m);
  return high * (high - 1) / 2 + low;
}

void Gramians::prepare(Gemm& gemm, const Factors& factors) {
  packed_gammas_.resize(order_);
  packed_factors_.resize(order_);
  for (std::size_t n = 0; n < order_; ++n) {
    hadamard_except(n, gammas_[n].data());
    gemm.pack_right(rank_, rank_, row_major(gammas_[n].data(), rank_), packed_gammas_[n]);
    gemm.pack_right(rank_, factors.dim(n), row_major(factors.mode(n), rank_), packed_factors_[n]);
    for (std::size_t m = 0; m < n; ++m) hadamard_except(n, m, pairs_[pair(n, m)].data());
  }
}

void Gramians::jacobian_product(Gemm& gemm, const Factors& factors, const Factors& p, Factors& dst) {
  const std::int64_t square = rank_ * rank_;
  for (std::size_t m = 0; m < order_; ++m) {
    gemm.multiply(rank_, row_major(p.mode(m), rank_).transposed(), packed_factors_[m], cross_[m].data(), rank_);
  }
  for (std::size_t n = 0; n < order_; ++n) {
    std::fill(sum_.begin(), sum_.end(), 0.0);
    for (std::size_t m = 0; m < order_; ++m) {
      if (m == n) continue;
      const double* gamma = pairs_[pair(n, m)].data();
      const double* cross = cross_[m].data();
      for (std::int64_t i = 0; i < square; ++i) sum_[i] += gamma[i] * cross[i];
    }
    const std::int64_t rows = factors.dim(n);
    gemm.multiply(rows, row_major(p.mode(n), rank_), packed_gammas_[n], dst.mode(n), rank_);
    gemm.multiply(rows, rank_, rank_, row_major(factors.mode(n), rank_), row_major(sum_.data(), rank_), dst.mode(n),
                  rank_, true);
  }
}

std::vector<double> column_norms_squared(const Factors& factors) {
  const std::int64_t rank = factors.rank();
  std::vector<double> norms(static_cast<std::size_t>(rank) * factors.order(), 0.0);
  for (std::size_t n = 0; n < factors.order(); ++n) {
    const double* a = factors.mode(n);
    double* out = norms.data() + static_cast<std::int64_t>(n) * rank;
    for (std::int64_t i = 0; i < factors.dim(n); ++i) {
      for (std::int64_t r = 0; r < rank; ++r) out[r] += a[i * rank + r] * a[i * rank + r];
    }
  }
  return norms;
}

std::vector<double> balance(Factors& factors) {
  constexpr double kDead = 1e-100;  // of a squared column norm, for a tensor of norm 1
  const std::int64_t rank = factors.rank();
  const auto order = static_cast<std::int64_t>(factors.order());
  std::vector<double> scale = column_norms_squared(factors);
  for (std::int64_t r = 0; r < rank; ++r) {
    double log_mean = 0;
    bool dead = false;
    for (std::int64_t n = 0; n < order; ++n) {
      dead = dead || !(scale[n * rank + r] > kDead);
      if (!dead) log_mean += std::log(scale[n * rank + r]) / static_cast<double>(order);
    }
    for (std::int64_t n = 0; n < order; ++n) {
      scale[n * rank + r] = dead ? 0.0 : std::exp(0.5 * (log_mean - std::log(scale[n * rank + r])));
    }
  }
  for (std::int64_t n = 0; n < order; ++n) {
    double* a = factors.mode(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < factors.dim(static_cast<std::size_t>(n)); ++i) {
      for (std::int64_t r = 0; r < rank; ++r) a[i * rank + r] *= scale[n * rank + r];
    }
  }
  return scale;
}

}  // namespace polyadic::solver

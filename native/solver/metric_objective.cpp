// ½·tr((T − M)·C·(T − M)ᵀ) for T and M = A_1·KRᵀ as I_1×D matrices, KR (D×R) the Khatri–Rao product of A_2, …, A_N.
// A value takes one product with C, of 2·D²·R operations, and the gradient none that is larger. The Gauss–Newton matrix
// has L·Lᵀ + δI in place of C: with Z = LᵀKR (q×R), applying it takes two products with L, of 2·D·q·R operations.
#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"
#include "metric.h"
#include "objective.h"

namespace polyadic::solver {
namespace {

class Weighted final : public Objective {
 public:
  Weighted(Problem& problem, const Factors& x)
      : problem_(problem),
        gemm_(problem.gemm),
        metric_(*problem.metric()),
        rank_(x.rank()),
        rows_(x.dim(0)),
        columns_(product(x.dims(), 1, x.order())),
        tree_(x.dims(), x.rank(), Split{1, rows_, columns_}),
        here_(x),
        trial_(x),
        blocks_(x.order(), std::vector<double>(static_cast<std::size_t>(rank_ * rank_))),
        z_(static_cast<std::size_t>(metric_.rank * rank_)),
        work_(z_.size()),
        work2_(z_.size()),
        zz_(static_cast<std::size_t>(rank_ * rank_)),
        square_(zz_.size()),
        tangent_(static_cast<std::size_t>(columns_ * rank_)),
        primal_(tangent_.size()) {
    for (Point* point : {&here_, &trial_}) {
      point->ck.resize(primal_.size());
      point->tck.resize(static_cast<std::size_t>(rows_ * rank_));
      point->kck.resize(zz_.size());
    }
  }

  double evaluate(const Factors& at) override;
  void accept() override { std::swap(here_, trial_); }
  void rescale(const Factors& x, const std::vector<double>&) override {
    evaluate(x);
    accept();
  }
  void gradient(const Factors& x, Factors& dst) override;
  const double* block(std::size_t n) const override { return blocks_[n].data(); }
  void apply(const Factors& x, const Factors& p, Factors& dst) override;
  const double* gram(std::size_t n) const override { return here_.gramians.gram(n); }
  double error(double value) const override { return std::sqrt(2 * std::max(0.0, value)); }

 private:
  struct Point {
    explicit Point(const Factors& x) : gramians(x) {}
    Gramians gramians;
    std::vector<double> ck;   // C·KR, D×R
    std::vector<double> tck;  // T·C·KR, I_1×R
    std::vector<double> kck;  // KRᵀ·C·KR, R×R
  };

  void contract(const Factors& x, Factors& dst);
  void khatri_rao(const Factors& x);
  void tangent_khatri_rao(const Factors& x, const Factors& p);

  Problem& problem_;
  Gemm& gemm_;
  const Metric& metric_;
  std::int64_t rank_, rows_, columns_;
  Mttkrp tree_;  // I_1 against the rest
  Point here_, trial_;
  std::vector<std::vector<double>> blocks_;
  std::vector<double> z_;                 // Z of the point, q×R
  std::vector<double> work_, work2_;      // q×R
  std::vector<double> zz_;                // ZᵀZ, R×R
  std::vector<double> square_;            // R×R
  std::vector<double> tangent_, primal_;  // D×R
  PackedRight packed_;
};

double Weighted::evaluate(const Factors& at) {
  Point& point = trial_;
  point.gramians.update(gemm_, at);
  khatri_rao(at);
  const Strided kr = row_major(primal_.data(), rank_);
  gemm_.pack_right(rank_, columns_, kr, packed_);
  gemm_.multiply(columns_, row_major(metric_.covariance, columns_), packed_, point.ck.data(), rank_);
  gemm_.multiply(rows_, row_major(metric_.product.data(), columns_), packed_, point.tck.data(), rank_);
  for (double& entry : point.ck) entry *= metric_.scale;
  gemm_.multiply(rank_, rank_, columns_, kr.transposed(), row_major(point.ck.data(), rank_), point.kck.data(), rank_);
  return 0.5 - dot(point.tck.data(), at.mode(0), rows_ * rank_) +
         0.5 * dot(point.kck.data(), point.gramians.gram(0), rank_ * rank_);
}

// dst_n = tree_.right() (D×R) contracted with the columns of all factors but A_1 and A_n.
void Weighted::contract(const Factors& x, Factors& dst) {
  for (std::size_t n = 1; n < x.order(); ++n) tree_.contract(gemm_, n, x, dst.mode(n));
}

void Weighted::gradient(const Factors& x, Factors& dst) {
  const Point& point = here_;
  here_.gramians.prepare(gemm_, x);
  // Mode 1: A_1·(KRᵀ·C·KR) − T·C·KR
  blocks_[0] = point.kck;
  double* g = dst.mode(0);
  for (std::int64_t i = 0; i < rows_ * rank_; ++i) g[i] = -point.tck[i];
  gemm_.multiply(rows_, rank_, rank_, row_major(x.mode(0), rank_), row_major(point.kck.data(), rank_), g, rank_, true);
  // The others: C·KR·W_1 − (T·C)ᵀA_1, contracted
  double* right = tree_.right();
  gemm_.multiply(columns_, rank_, rank_, row_major(point.ck.data(), rank_), row_major(point.gramians.gram(0), rank_),
                 right, rank_);
  gemm_.multiply(columns_, rank_, rows_, row_major(metric_.product.data(), columns_).transposed(),
                 row_major(x.mode(0), rank_), right, rank_, true, -1.0);
  contract(x, dst);
  for (std::size_t n = 1; n < x.order(); ++n) {
    const double* gamma = point.gramians.gamma(n);
    for (std::int64_t i = 0; i < rank_ * rank_; ++i) blocks_[n][i] = metric_.mean_diagonal * gamma[i];
  }
  gemm_.multiply_transposed(metric_.root, rank_, tree_.right_products(gemm_.threads(), x), z_.data());
  const Strided z = row_major(z_.data(), rank_);
  gemm_.multiply(rank_, rank_, metric_.rank, z.transposed(), z, zz_.data(), rank_);
}

// primal_ = KR
void Weighted::khatri_rao(const Factors& x) {
  const RowProducts kr = tree_.right_products(gemm_.threads(), x);
  for (std::int64_t i = 0; i < columns_; ++i) {
    const double* in = kr.inner + i % kr.inner_rows * rank_;
    const double* out = kr.outer ? kr.outer + i / kr.inner_rows * rank_ : nullptr;
    for (std::int64_t r = 0; r < rank_; ++r) primal_[i * rank_ + r] = out ? in[r] * out[r] : in[r];
  }
}

// tangent_ = Σ_{m>1} KR with P_m in place of A_m, grown by one mode at a time beside KR itself.
void Weighted::tangent_khatri_rao(const Factors& x, const Factors& p) {
  const std::size_t last = x.order() - 1;
  std::copy_n(x.mode(last), x.dim(last) * rank_, primal_.begin());
  std::copy_n(p.mode(last), x.dim(last) * rank_, tangent_.begin());
  std::int64_t rows = x.dim(last);
  for (std::size_t n = last; n-- > 1;) {
    // From the last block to the first: block 0 is the source and is overwritten last.
    for (std::int64_t i = x.dim(n); i-- > 0;) {
      const double* a = x.mode(n) + i * rank_;
      const double* b = p.mode(n) + i * rank_;
      for (std::int64_t j = 0; j < rows; ++j) {
        const double* from = primal_.data() + j * rank_;
        const double* from_tangent = tangent_.data() + j * rank_;
        double* to = primal_.data() + (i * rows + j) * rank_;
        double* to_tangent = tangent_.data() + (i * rows + j) * rank_;
        for (std::int64_t r = 0; r < rank_; ++r) {
          const double value = from[r], slope = from_tangent[r];
          to[r] = a[r] * value;
          to_tangent[r] = a[r] * slope + b[r] * value;
        }
      }
    }
    rows *= x.dim(n);
  }
}

void Weighted::apply(const Factors& x, const Factors& p, Factors& dst) {
  const std::int64_t q = metric_.rank;
  const Point& point = here_;
  here_.gramians.jacobian_product(gemm_, x, p, dst);
  for (std::int64_t i = 0; i < dst.size(); ++i) dst.data()[i] *= metric_.floor;
  tangent_khatri_rao(x, p);
  double* slope = work_.data();  // Z' = LᵀKR'
  gemm_.multiply_transposed(metric_.root, rank_, {nullptr, tangent_.data(), columns_}, slope);
  const Strided z = row_major(z_.data(), rank_);
  // Mode 1: P_1·ZᵀZ + A_1·Z'ᵀZ; δΓ of the first term is in what the Gramians gave.
  double* first = dst.mode(0);
  gemm_.multiply(rows_, rank_, rank_, row_major(p.mode(0), rank_), row_major(zz_.data(), rank_), first, rank_, true);
  gemm_.multiply(rank_, rank_, q, row_major(slope, rank_).transposed(), z, square_.data(), rank_);
  gemm_.multiply(rows_, rank_, rank_, row_major(x.mode(0), rank_), row_major(square_.data(), rank_), first, rank_,
                 true);
  // The others: L·(Z·(P_1ᵀA_1) + Z'·W_1), contracted
  gemm_.multiply(rank_, rank_, rows_, row_major(p.mode(0), rank_).transposed(), row_major(x.mode(0), rank_),
                 square_.data(), rank_);
  gemm_.multiply(q, rank_, rank_, row_major(slope, rank_), row_major(point.gramians.gram(0), rank_), work2_.data(),
                 rank_);
  gemm_.multiply(q, rank_, rank_, z, row_major(square_.data(), rank_), work2_.data(), rank_, true);
  gemm_.multiply(metric_.root, rank_, {nullptr, work2_.data(), q}, tree_.right());
  Factors contracted(x.dims(), rank_);
  contract(x, contracted);
  for (std::size_t n = 1; n < x.order(); ++n) {
    add_scaled(1, contracted.mode(n), dst.mode(n), x.dim(n) * rank_);
  }
}

}  // namespace

std::unique_ptr<Objective> metric_objective(Problem& problem, const Factors& x) {
  return std::make_unique<Weighted>(problem, x);
}

}  // namespace polyadic::solver

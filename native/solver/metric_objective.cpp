// ½·tr((T − M)·C·(T − M)ᵀ) for T and M = A_1·KRᵀ as I_1×D matrices, KR (D×R) the Khatri–Rao product of A_2, …, A_N, and
// C = L·Lᵀ + δI. Nothing of I_1×D is formed but T: with Z = LᵀKR (q×R), a gradient and a product with JᵀCJ each take
// two products with L, of 2·D·q·R operations.
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
        tensor_(tree_.panels(gemm_, problem.raw(), problem.scale())),
        here_(x),
        trial_(x),
        blocks_(x.order(), std::vector<double>(static_cast<std::size_t>(rank_ * rank_))),
        work_(static_cast<std::size_t>(metric_.rank * rank_)),
        work2_(work_.size()),
        square_(static_cast<std::size_t>(rank_ * rank_)),
        tangent_(static_cast<std::size_t>(columns_ * rank_)),
        total_(squared_norm(metric_.projected.data(), metric_.rank * rows_)) {
    for (Point* point : {&here_, &trial_}) {
      point->z.resize(work_.size());
      point->y.resize(work_.size());
      point->k.resize(static_cast<std::size_t>(rows_ * rank_));
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
    std::vector<double> z;  // LᵀKR, q×R
    std::vector<double> y;  // LᵀTᵀA_1, q×R
    std::vector<double> k;  // T·KR, I_1×R
  };

  void contract(const Factors& x, Factors& dst);
  void tangent_khatri_rao(const Factors& x, const Factors& p);

  Problem& problem_;
  Gemm& gemm_;
  const Metric& metric_;
  std::int64_t rank_, rows_, columns_;
  Mttkrp tree_;  // I_1 against the rest
  PanelMatrix tensor_;
  Point here_, trial_;
  std::vector<std::vector<double>> blocks_;
  std::vector<double> work_, work2_;  // q×R
  std::vector<double> square_;        // R×R
  std::vector<double> tangent_;       // D×R
  std::vector<double> primal_;        // D×R
  double total_;                      // ‖T·L‖²
};

double Weighted::evaluate(const Factors& at) {
  const std::int64_t q = metric_.rank;
  Point& point = trial_;
  point.gramians.update(gemm_, at);
  const RowProducts kr = tree_.right_products(gemm_.threads(), at);
  gemm_.multiply_transposed(metric_.root, rank_, kr, point.z.data());
  gemm_.multiply(tensor_, rank_, kr, point.k.data());
  gemm_.multiply(q, rank_, rows_, row_major(metric_.projected.data(), rows_), row_major(at.mode(0), rank_),
                 point.y.data(), rank_);
  gemm_.multiply(q, rank_, rank_, row_major(point.z.data(), rank_), row_major(point.gramians.gram(0), rank_),
                 work_.data(), rank_);
  const double weighted = 0.5 * total_ - dot(point.y.data(), point.z.data(), q * rank_) +
                          0.5 * dot(work_.data(), point.z.data(), q * rank_);
  const double plain = 0.5 - dot(point.k.data(), at.mode(0), rows_ * rank_) + 0.5 * point.gramians.model_norm_squared();
  return weighted + metric_.floor * plain;
}

// dst_n = tree_.right() (D×R) contracted with the columns of all factors but A_1 and A_n.
void Weighted::contract(const Factors& x, Factors& dst) {
  for (std::size_t n = 1; n < x.order(); ++n) tree_.contract(gemm_, n, x, dst.mode(n));
}

void Weighted::gradient(const Factors& x, Factors& dst) {
  const std::int64_t q = metric_.rank;
  const Point& point = here_;
  here_.gramians.prepare(gemm_, x);
  // Mode 1: A_1·(ZᵀZ + δΓ) − (T·L·Z + δK)
  const Strided z = row_major(point.z.data(), rank_);
  double* first = blocks_[0].data();
  gemm_.multiply(rank_, rank_, q, z.transposed(), z, first, rank_);
  add_scaled(metric_.floor, point.gramians.gamma(0), first, rank_ * rank_);
  double* g = dst.mode(0);
  gemm_.multiply(rows_, rank_, q, row_major(metric_.projected.data(), rows_).transposed(), z, g, rank_);
  for (std::int64_t i = 0; i < rows_ * rank_; ++i) g[i] = -g[i] - metric_.floor * point.k[i];
  gemm_.multiply(rows_, rank_, rank_, row_major(x.mode(0), rank_), row_major(first, rank_), g, rank_, true);
  // The others: L·(Z·W_1 − LᵀTᵀA_1) + δ(KR·W_1 − TᵀA_1), contracted
  gemm_.multiply(q, rank_, rank_, z, row_major(point.gramians.gram(0), rank_), work_.data(), rank_);
  add_scaled(-1, point.y.data(), work_.data(), q * rank_);
  tree_.prepare_right(gemm_, tensor_, x);
  double* right = tree_.right();
  primal_.resize(static_cast<std::size_t>(columns_ * rank_));
  gemm_.multiply(metric_.root, rank_, {nullptr, work_.data(), q}, primal_.data());
  for (std::int64_t i = 0; i < columns_ * rank_; ++i) right[i] = primal_[i] - metric_.floor * right[i];
  contract(x, dst);
  for (std::size_t n = 1; n < x.order(); ++n) {
    const double* gamma = point.gramians.gamma(n);
    for (std::int64_t i = 0; i < rank_ * rank_; ++i) {
      blocks_[n][i] = metric_.mean_diagonal * gamma[i];
      square_[i] = metric_.floor * gamma[i];
    }
    gemm_.multiply(x.dim(n), rank_, rank_, row_major(x.mode(n), rank_), row_major(square_.data(), rank_), dst.mode(n),
                   rank_, true);
  }
}

// tangent_ = Σ_{m>1} KR with P_m in place of A_m, grown by one mode at a time beside KR itself.
void Weighted::tangent_khatri_rao(const Factors& x, const Factors& p) {
  const std::size_t last = x.order() - 1;
  primal_.resize(static_cast<std::size_t>(columns_ * rank_));
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
  const Strided z = row_major(point.z.data(), rank_);
  // Mode 1: P_1·ZᵀZ + A_1·Z'ᵀZ; δΓ of the first term is in what the Gramians gave.
  double* first = dst.mode(0);
  gemm_.multiply(rank_, rank_, q, z.transposed(), z, square_.data(), rank_);
  gemm_.multiply(rows_, rank_, rank_, row_major(p.mode(0), rank_), row_major(square_.data(), rank_), first, rank_,
                 true);
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

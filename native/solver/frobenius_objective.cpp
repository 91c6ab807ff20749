#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"
#include "objective.h"

namespace polyadic::solver {
namespace {

constexpr double kDirectError = 1e-4;  // below, ½‖T‖² − ⟨K,A⟩ + ½‖M‖² has cancelled too much: use T − M itself

class Frobenius final : public Objective {
 public:
  Frobenius(Problem& problem, const Factors& x)
      : problem_(problem), gemm_(problem.gemm), scratch_(x.dims(), x.rank()), gramians_(x), trial_gramians_(x) {}

  double evaluate(const Factors& at) override;
  void accept() override { std::swap(gramians_, trial_gramians_); }
  void rescale(const Factors& x, const std::vector<double>& scale) override {
    gramians_.update(gemm_, x);
    problem_.mttkrp.rescale_left(scale);
  }
  void gradient(const Factors& x, Factors& dst) override;
  const double* block(std::size_t n) const override { return gramians_.gamma(n); }
  void apply(const Factors& x, const Factors& p, Factors& dst) override {
    gramians_.jacobian_product(gemm_, x, p, dst);
  }
  const double* gram(std::size_t n) const override { return gramians_.gram(n); }
  double error(double value) const override { return std::sqrt(2 * std::max(0.0, value)); }

 private:
  Problem& problem_;
  Gemm& gemm_;
  Factors scratch_;
  Gramians gramians_, trial_gramians_;
  PanelMatrix difference_;  // T − M, once the error is small
  bool direct_ = false;
};

double Frobenius::evaluate(const Factors& at) {
  trial_gramians_.update(gemm_, at);
  double value = 0;
  if (!direct_) {
    problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), at);
    problem_.mttkrp.contract(gemm_, 0, at, scratch_.mode(0));
    const double inner = dot(scratch_.mode(0), at.mode(0), at.dim(0) * at.rank());
    value = 0.5 * (1.0 - 2.0 * inner + trial_gramians_.model_norm_squared());
    direct_ = value < 0.5 * kDirectError * kDirectError;
  }
  return direct_ ? problem_.direct_objective(at, &difference_) : value;
}

// Needs what evaluate left for x.
void Frobenius::gradient(const Factors& x, Factors& dst) {
  Mttkrp& mttkrp = problem_.mttkrp;
  const PanelMatrix& tensor = direct_ ? difference_ : problem_.tensor();
  const std::int64_t rank = x.rank();
  if (direct_) mttkrp.prepare_left(gemm_, tensor, x);
  mttkrp.prepare_right(gemm_, tensor, x);
  gramians_.prepare(gemm_, x);
  for (std::size_t n = 0; n < x.order(); ++n) {
    double* g = dst.mode(n);
    mttkrp.contract(gemm_, n, x, g);
    for (std::int64_t i = 0; i < x.dim(n) * rank; ++i) g[i] = -g[i];
    if (direct_) continue;
    gemm_.multiply(x.dim(n), rank, rank, row_major(x.mode(n), rank), row_major(gramians_.gamma(n), rank), g, rank,
                   true);
  }
}

}  // namespace

std::unique_ptr<Objective> frobenius_objective(Problem& problem, const Factors& x) {
  return std::make_unique<Frobenius>(problem, x);
}

}  // namespace polyadic::solver

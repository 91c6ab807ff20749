#include "nls.h"

#include <algorithm>
#include <cmath>

#include "gramian.h"
#include "linalg.h"

namespace polyadic::solver {
namespace {

constexpr double kInitialDamping = 1e-3;  // of the largest diagonal entry of Γ
constexpr double kDirectError = 1e-4;  // below, ½‖T‖² − ⟨K,A⟩ + ½‖M‖² has cancelled too much: use T − M itself
constexpr double kLoosest = 0.3;  // forcing term of CG, at first
constexpr double kTightest = 0.03;
constexpr std::int64_t kMaxInner = 75;
constexpr int kMaxRejections = 25;

struct CgResult {
  std::int64_t iterations;
  double predicted;  // decrease of the quadratic model without its damping
};

class Nls {
 public:
  Nls(Problem& problem, Factors& x)
      : problem_(problem),
        gemm_(problem.gemm),
        x_(x),
        trial_(x),
        gradient_(x.dims(), x.rank()),
        step_(gradient_),
        residual_(gradient_),
        z_(gradient_),
        p_(gradient_),
        q_(gradient_),
        gramians_(x),
        trial_gramians_(x),
        inverses_(x.order()),
        inverse_(static_cast<std::size_t>(x.rank() * x.rank())),
        ridge_(problem.spec().ridge) {}

  StopReason run();
  const Factors& gradient_at_start() {
    objective_ = evaluate(x_, gramians_);
    gradient();
    return gradient_;
  }

 private:
  double evaluate(const Factors& at, Gramians& gramians);
  double penalty(const Factors& at) const { return 0.5 * ridge_ * squared_norm(at.data(), at.size()); }
  void gradient();
  void precondition(double shift);
  void apply(const Factors& src, double shift, Factors& dst);
  CgResult solve(double forcing);
  void accept();
  double largest_diagonal() const;

  Problem& problem_;
  Gemm& gemm_;
  Factors& x_;
  Factors trial_, gradient_, step_, residual_, z_, p_, q_;
  Gramians gramians_, trial_gramians_;
  std::vector<PackedRight> inverses_;  // (Γ^(n) + (μ + γ)I)⁻¹
  std::vector<double> inverse_;
  std::vector<double> difference_;  // T − M, once the error is small
  double ridge_;
  double objective_ = 0;  // ½‖T − M‖² + ½γΣ‖A_n‖²
  double data_ = 0;       // ½‖T − M‖² of what was evaluated last
  double damping_ = 0;
  bool direct_ = false;
};

double Nls::evaluate(const Factors& at, Gramians& gramians) {
  gramians.update(gemm_, at);
  if (!direct_) {
    problem_.mttkrp.prepare_left(gemm_, problem_.tensor(), at);
    problem_.mttkrp.contract(gemm_, 0, at, q_.mode(0));
    const double inner = dot(q_.mode(0), at.mode(0), at.dim(0) * at.rank());
    data_ = 0.5 * (1.0 - 2.0 * inner + gramians.model_norm_squared());
    direct_ = data_ < 0.5 * kDirectError * kDirectError;
  }
  if (direct_) data_ = problem_.direct_objective(at, difference_);
  return data_ + penalty(at);
}

// Needs what evaluate left for x.
void Nls::gradient() {
  Mttkrp& mttkrp = problem_.mttkrp;
  const double* tensor = direct_ ? difference_.data() : problem_.tensor();
  const std::int64_t rank = x_.rank();
  if (direct_) mttkrp.prepare_left(gemm_, tensor, x_);
  mttkrp.prepare_right(gemm_, tensor, x_);
  gramians_.prepare(gemm_);
  for (std::size_t n = 0; n < x_.order(); ++n) {
    const std::int64_t length = x_.dim(n) * rank;
    double* g = gradient_.mode(n);
    mttkrp.contract(gemm_, n, x_, g);
    for (std::int64_t i = 0; i < length; ++i) g[i] = -g[i];
    if (!direct_) {
      gemm_.multiply(x_.dim(n), rank, rank, row_major(x_.mode(n), rank), row_major(gramians_.gamma(n), rank), g, rank,
                     true);
    }
    add_scaled(ridge_, x_.mode(n), g, length);
  }
}

double Nls::largest_diagonal() const {
  double largest = 0;
  for (std::size_t n = 0; n < x_.order(); ++n) {
    for (std::int64_t r = 0; r < x_.rank(); ++r) largest = std::max(largest, gramians_.gamma(n)[r * x_.rank() + r]);
  }
  return largest;
}

void Nls::precondition(double shift) {
  for (std::size_t n = 0; n < x_.order(); ++n) {
    shifted_inverse(gemm_, x_.rank(), gramians_.gamma(n), shift, inverse_.data());
    gemm_.pack_right(x_.rank(), x_.rank(), row_major(inverse_.data(), x_.rank()), inverses_[n]);
  }
}

void Nls::apply(const Factors& src, double shift, Factors& dst) {
  gramians_.jacobian_product(gemm_, x_, src, dst);
  add_scaled(shift, src.data(), dst.data(), src.size());
}

// (JᵀJ + (γ + μ)I)·step = −gradient by CG, preconditioned block by block.
CgResult Nls::solve(double forcing) {
  const std::int64_t size = x_.size();
  const std::int64_t rank = x_.rank();
  const double shift = damping_ + ridge_;
  const auto preconditioned = [&] {
    for (std::size_t n = 0; n < x_.order(); ++n) {
      gemm_.multiply(x_.dim(n), row_major(residual_.mode(n), rank), inverses_[n], z_.mode(n), rank);
    }
    return dot(residual_.data(), z_.data(), size);
  };
  step_.fill(0);
  for (std::int64_t i = 0; i < size; ++i) residual_.data()[i] = -gradient_.data()[i];
  double rz = preconditioned();
  const double target = forcing * forcing * rz;
  p_ = z_;
  std::int64_t iteration = 0;
  while (iteration < kMaxInner && rz > target) {
    problem_.control().check();
    apply(p_, shift, q_);
    const double curvature = dot(p_.data(), q_.data(), size);
    if (!(curvature > 0) || !std::isfinite(curvature)) break;
    const double alpha = rz / curvature;
    add_scaled(alpha, p_.data(), step_.data(), size);
    add_scaled(-alpha, q_.data(), residual_.data(), size);
    ++iteration;
    const double next = preconditioned();
    if (!(next >= 0)) break;
    const double beta = next / rz;
    rz = next;
    for (std::int64_t i = 0; i < size; ++i) p_.data()[i] = z_.data()[i] + beta * p_.data()[i];
  }
  // −⟨G,P⟩ − ½⟨P,HP⟩ with HP = −G − residual − μP
  const double predicted =
      0.5 * (dot(residual_.data(), step_.data(), size) - dot(gradient_.data(), step_.data(), size) +
             damping_ * squared_norm(step_.data(), size));
  return {iteration, predicted};
}

void Nls::accept() {
  std::swap(x_, trial_);
  std::swap(gramians_, trial_gramians_);
  const std::vector<double> scale = balance(x_);
  gramians_.update(gemm_, x_);
  problem_.mttkrp.rescale_left(scale);
  objective_ = data_ + penalty(x_);
}

StopReason Nls::run() {
  const CpdSpec& spec = problem_.spec();
  balance(x_);
  objective_ = evaluate(x_, gramians_);
  gradient();
  damping_ = kInitialDamping * largest_diagonal();
  double growth = 2;
  double norm = std::sqrt(squared_norm(gradient_.data(), gradient_.size()));
  const double first_norm = norm;
  SettledTest test(spec.tolerance);
  int rejections = 0;
  for (std::int64_t iteration = 0; iteration < spec.max_iterations; ++iteration) {
    if (!(norm > 1e-16)) return StopReason::converged;
    damping_ = std::max(damping_, 1e-13 * largest_diagonal());
    precondition(damping_ + ridge_);
    const double forcing = std::clamp(std::sqrt(norm / first_norm) * kLoosest, kTightest, kLoosest);
    const CgResult inner = solve(forcing);
    if (inner.predicted <= 1e-14 * objective_) return StopReason::converged;  // below what the objective can show
    for (std::int64_t i = 0; i < x_.size(); ++i) trial_.data()[i] = x_.data()[i] + step_.data()[i];
    const double before = objective_;
    const double value = evaluate(trial_, trial_gramians_);
    const double gain = inner.predicted > 0 ? (before - value) / inner.predicted : -1;
    if (!std::isfinite(value) || !(gain > 1e-4)) {
      problem_.record(problem_.trace.empty() ? std::sqrt(2 * std::max(0.0, before)) : problem_.trace.back().error, norm,
                      damping_, inner.iterations);
      damping_ *= growth;
      growth *= 2;
      if (++rejections > kMaxRejections || !std::isfinite(damping_)) return StopReason::stalled;
      continue;
    }
    rejections = 0;
    growth = 2;
    const double used = damping_;
    const double bend = 2 * gain - 1;
    damping_ *= std::max(1.0 / 3, 1 - bend * bend * bend);
    accept();
    const double error = std::sqrt(2 * std::max(0.0, data_));
    gradient();
    norm = std::sqrt(squared_norm(gradient_.data(), gradient_.size()));
    problem_.record(error, norm, used, inner.iterations);
    if (error < kExactError) return StopReason::exact;
    if (test.settled(std::sqrt(2 * before), std::sqrt(2 * objective_))) return StopReason::converged;
  }
  return StopReason::max_iterations;
}

}  // namespace

StopReason nls(Problem& problem, Factors& factors) { return Nls(problem, factors).run(); }

Factors nls_gradient(Problem& problem, const Factors& factors) {
  Factors x = factors;
  return Nls(problem, x).gradient_at_start();
}

}  // namespace polyadic::solver

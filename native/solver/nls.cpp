#include "nls.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "als.h"
#include "anderson.h"
#include "gramian.h"
#include "linalg.h"
#include "objective.h"

namespace polyadic::solver {
namespace {

constexpr double kInitialDamping = 1e-2;  // of the diagonal of Γ
constexpr double kLeastDamping = 1e-8;
constexpr double kLastDamping = 1e12;  // no step is taken with more
// Where the residual stays large, as with trained kernels, Gauss–Newton is a poor model of the objective far along the
// directions that CG finds last: fewer steps of it and acceleration over the outer ones is faster, to a lower error.
constexpr double kLargeResidual = 0.3;
constexpr double kForcing = 0.1;  // of CG, in the norm of the preconditioner
constexpr double kTightest = 1e-3;
constexpr std::int64_t kFewInner = 20;
constexpr std::int64_t kManyInner = 100;
constexpr std::int64_t kMetricSteps =
    12;  // outer ones in the norm of a covariance: later ones gain little and cost as much
constexpr std::int64_t kMetricInner = 6;
// Where steps need no more than so many CG steps on average, over so many of them, and each lowers the error by less
// than kSlow, components hardly interact (as with noise): alternating least squares is then as good a step at half the
// price.
constexpr int kProbe = 6;
constexpr std::int64_t kEasyInner = 4;
constexpr double kSlow = 1e-3;
constexpr double kAlternating = 4e-6;  // tolerance of these sweeps: the end is for NLS again
constexpr int kWindow = 6;             // outer steps that are accelerated over
constexpr double kImbalance = 16;      // of squared column norms over modes, beyond which columns are balanced
constexpr int kMaxRejections = 25;
// A component that has grown beyond the bound on weights is held by a ridge of its own, which begins here (for ‖T‖ = 1)
// and grows by so much a step until the component has come back; it fades when that is far below the bound.
constexpr double kFirstHold = 1e-6;
constexpr double kTighten = 4;
constexpr double kFarBelow = 0.7;

struct CgResult {
  std::int64_t iterations;
  double predicted;  // decrease of the quadratic model without its damping
};

class Nls {
 public:
  Nls(Problem& problem, Objective& objective, Factors& x)
      : problem_(problem),
        gemm_(problem.gemm),
        objective_(objective),
        x_(x),
        trial_(x),
        gradient_(x.dims(), x.rank()),
        step_(gradient_),
        residual_(gradient_),
        z_(gradient_),
        p_(gradient_),
        q_(gradient_),
        accelerate_(x.size(), kWindow),
        inverses_(x.order()),
        shifts_(x.order()),
        inverse_(static_cast<std::size_t>(x.rank() * x.rank())),
        ridge_(problem.spec().ridge),
        holds_(static_cast<std::size_t>(x.rank()), ridge_) {}

  StopReason run(std::int64_t steps, std::int64_t most_inner);
  // The same, but it may end before when alternating least squares would do as well: true when it has.
  bool run_until_easy(std::int64_t steps, StopReason& reason) {
    may_hand_over_ = problem_.spec().most_weight == 0;
    reason = run(steps, kManyInner);
    return handed_over_;
  }
  const Factors& gradient_at_start() {
    evaluate(x_);
    objective_.accept();
    gradient();
    return gradient_;
  }

 private:
  StopReason descend(std::int64_t steps, std::int64_t most_inner);
  double evaluate(const Factors& at);
  double penalty(const Factors& at) const;
  void gradient();
  void precondition();
  void apply(const Factors& src, Factors& dst);
  CgResult solve(double forcing, std::int64_t limit);
  bool try_accelerated();
  bool try_step(double predicted);
  void accept();
  bool unbalanced() const;
  double weight(std::int64_t r) const;
  bool hold();
  bool is_well_conditioned(double error, std::int64_t inner);
  void begin_ridge();
  void shrink_to_bound();

  Problem& problem_;
  Gemm& gemm_;
  Objective& objective_;
  Factors& x_;
  Factors trial_, gradient_, step_, residual_, z_, p_, q_;
  Anderson accelerate_;
  std::vector<PackedRight> inverses_;        // (B + μ·diag B + γI)⁻¹ of the blocks B
  std::vector<std::vector<double>> shifts_;  // μ·diag B + γ
  std::vector<double> inverse_;
  double ridge_;
  std::vector<double> holds_;  // γ_r of each component: the ridge, or more where the bound on weights asks for it
  double value_ = 0;           // of the objective, with ½Σ_r γ_r Σ_n‖a_n,r‖²
  double trial_value_ = 0;
  double data_ = 0;  // the objective alone, where it was evaluated last
  double damping_ = kInitialDamping;
  double growth_ = 2;
  struct Step {
    double error;
    std::int64_t inner;
  };
  std::array<Step, static_cast<std::size_t>(kProbe)> recent_{};
  int next_recent_ = 0;
  bool waiting_ = false;  // the ridge is not in the objective yet
  bool may_hand_over_ = false, handed_over_ = false;
};

double Nls::penalty(const Factors& at) const {
  if (problem_.spec().most_weight == 0 && !waiting_) return 0.5 * ridge_ * squared_norm(at.data(), at.size());
  const std::vector<double> norms = column_norms_squared(at);
  const std::int64_t rank = at.rank();
  double sum = 0;
  for (std::size_t i = 0; i < norms.size(); ++i) sum += holds_[static_cast<std::int64_t>(i) % rank] * norms[i];
  return 0.5 * sum;
}

double Nls::evaluate(const Factors& at) {
  data_ = objective_.evaluate(at);
  return data_ + penalty(at);
}

void Nls::gradient() {
  objective_.gradient(x_, gradient_);
  const std::int64_t rank = x_.rank(), rows = x_.size() / rank;
  for (std::int64_t i = 0; i < rows; ++i) {
    const double* a = x_.data() + i * rank;
    double* g = gradient_.data() + i * rank;
    for (std::int64_t r = 0; r < rank; ++r) g[r] += holds_[r] * a[r];
  }
}

// Damping in proportion to the diagonal (Marquardt): a component keeps its relative freedom however small it is.
void Nls::precondition() {
  const std::int64_t rank = x_.rank();
  std::vector<double> shifted(inverse_.size());
  for (std::size_t n = 0; n < x_.order(); ++n) {
    const double* block = objective_.block(n);
    std::vector<double>& shift = shifts_[n];
    shift.resize(static_cast<std::size_t>(rank));
    std::copy_n(block, rank * rank, shifted.data());
    for (std::int64_t r = 0; r < rank; ++r) {
      shift[r] = damping_ * block[r * rank + r] + holds_[r];
      shifted[r * rank + r] += shift[r];
    }
    shifted_inverse(gemm_, rank, shifted.data(), 0, inverse_.data());
    gemm_.pack_right(rank, rank, row_major(inverse_.data(), rank), inverses_[n]);
  }
}

void Nls::apply(const Factors& src, Factors& dst) {
  const std::int64_t rank = x_.rank();
  objective_.apply(x_, src, dst);
  for (std::size_t n = 0; n < x_.order(); ++n) {
    const double* shift = shifts_[n].data();
    for (std::int64_t i = 0; i < x_.dim(n); ++i) {
      const double* in = src.mode(n) + i * rank;
      double* out = dst.mode(n) + i * rank;
      for (std::int64_t r = 0; r < rank; ++r) out[r] += shift[r] * in[r];
    }
  }
}

// (JᵀJ + μD + γI)·step = −gradient by CG, preconditioned block by block.
CgResult Nls::solve(double forcing, std::int64_t limit) {
  const std::int64_t size = x_.size();
  const std::int64_t rank = x_.rank();
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
  while (iteration < limit && rz > target) {
    apply(p_, q_);
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
  // −⟨G,P⟩ − ½⟨P,HP⟩ with H without its damping: HP = −G − residual − μDP
  double damped = 0;
  for (std::size_t n = 0; n < x_.order(); ++n) {
    for (std::int64_t i = 0; i < x_.dim(n); ++i) {
      const double* row = step_.mode(n) + i * rank;
      for (std::int64_t r = 0; r < rank; ++r) damped += (shifts_[n][r] - holds_[r]) * row[r] * row[r];
    }
  }
  const double predicted =
      0.5 * (dot(residual_.data(), step_.data(), size) - dot(gradient_.data(), step_.data(), size) + damped);
  return {iteration, predicted};
}

bool Nls::try_accelerated() {
  accelerate_.push(x_.data(), step_.data());
  if (!accelerate_.mix(trial_.data())) return false;
  trial_value_ = evaluate(trial_);
  if (trial_value_ < value_) {
    damping_ = std::max(0.8 * damping_, kLeastDamping);
    return true;
  }
  accelerate_.restart();
  return false;
}

// The plain step; the damping follows its gain (Nielsen).
bool Nls::try_step(double predicted) {
  for (std::int64_t i = 0; i < x_.size(); ++i) trial_.data()[i] = x_.data()[i] + step_.data()[i];
  trial_value_ = evaluate(trial_);
  const double gain = predicted > 0 ? (value_ - trial_value_) / predicted : -1;
  if (!std::isfinite(trial_value_) || !(gain > 1e-4)) {
    damping_ *= growth_;
    growth_ *= 2;
    accelerate_.clear();
    return false;
  }
  growth_ = 2;
  const double bend = 2 * gain - 1;
  damping_ = std::max(damping_ * std::max(1.0 / 3, 1 - bend * bend * bend), kLeastDamping);
  return true;
}

bool Nls::unbalanced() const {
  const std::int64_t rank = x_.rank();
  for (std::int64_t r = 0; r < rank; ++r) {
    double least = objective_.gram(0)[r * rank + r], most = least;
    for (std::size_t n = 1; n < x_.order(); ++n) {
      const double norm = objective_.gram(n)[r * rank + r];
      least = std::min(least, norm);
      most = std::max(most, norm);
    }
    if (most > kImbalance * least) return true;
  }
  return false;
}

double Nls::weight(std::int64_t r) const {
  double square = 1;
  for (std::size_t n = 0; n < x_.order(); ++n) square *= objective_.gram(n)[r * x_.rank() + r];
  return std::sqrt(square);
}

// Follows the bound on weights; true when that has changed the objective.
bool Nls::hold() {
  const double most = problem_.spec().most_weight;
  if (most == 0) return false;
  bool changed = false;
  for (std::int64_t r = 0; r < x_.rank(); ++r) {
    double& own = holds_[r];
    const double now = weight(r), before = own;
    if (now > most) own = std::max(own * kTighten, kFirstHold);
    if (now < kFarBelow * most) own = std::max(waiting_ ? 0 : ridge_, own / 2 < kFirstHold ? 0 : own / 2);
    changed = changed || own != before;
  }
  if (!changed) return false;
  value_ = data_ + penalty(x_);
  accelerate_.clear();
  return true;
}

void Nls::begin_ridge() {
  waiting_ = false;
  for (double& own : holds_) own = std::max(own, ridge_);
  value_ = data_ + penalty(x_);
  accelerate_.clear();
}

// What is still beyond the bound at the end.
void Nls::shrink_to_bound() {
  const double most = problem_.spec().most_weight;
  if (most == 0) return;
  const double order = static_cast<double>(x_.order());
  for (std::int64_t r = 0; r < x_.rank(); ++r) {
    const double now = weight(r);
    if (!(now > most)) continue;
    const double share = std::pow(most / now, 1 / order);
    for (std::int64_t i = r; i < x_.size(); i += x_.rank()) x_.data()[i] *= share;
  }
}

// Columns whose norms drift apart are balanced, which the acceleration must not see.
void Nls::accept() {
  std::swap(x_, trial_);
  objective_.accept();
  value_ = trial_value_;
  if (!unbalanced()) return;
  objective_.rescale(x_, balance(x_));
  value_ = data_ + penalty(x_);
  accelerate_.clear();
}

// Steps that need few steps of CG each and still gain little say that the components are nearly orthogonal.
bool Nls::is_well_conditioned(double error, std::int64_t inner) {
  recent_[static_cast<std::size_t>(next_recent_++ % kProbe)] = {error, inner};
  if (next_recent_ < kProbe || !(error > kLargeResidual)) return false;
  std::int64_t sum = 0;
  for (const Step& step : recent_) sum += step.inner;
  return sum <= kEasyInner * kProbe &&
         recent_[static_cast<std::size_t>(next_recent_ % kProbe)].error < error * (1 + kProbe * kSlow);
}

StopReason Nls::run(std::int64_t steps, std::int64_t most_inner) {
  const StopReason reason = descend(steps, most_inner);
  shrink_to_bound();
  return reason;
}

StopReason Nls::descend(std::int64_t steps, std::int64_t most_inner) {
  const CpdSpec& spec = problem_.spec();
  balance(x_);
  value_ = evaluate(x_);
  objective_.accept();
  if (ridge_ > 0 && 2 * data_ > kNothing) {
    waiting_ = true;
    std::fill(holds_.begin(), holds_.end(), 0.0);
    value_ = data_;
  }
  gradient();
  double norm = std::sqrt(squared_norm(gradient_.data(), gradient_.size()));
  double error = objective_.error(data_);
  SettledTest test(spec.tolerance, std::sqrt(2 * value_));
  int rejections = 0;
  for (std::int64_t iteration = 0; iteration < steps; ++iteration) {
    if (!(norm > 1e-16)) return StopReason::converged;
    precondition();
    const bool large = error > kLargeResidual;
    const double forcing = large ? kForcing : std::max(kTightest, kForcing * error / kLargeResidual);
    const CgResult inner = solve(forcing, std::min(most_inner, large ? kFewInner : kManyInner));
    if (inner.predicted <= 1e-14 * value_) return StopReason::converged;  // below what the objective can show
    const double used = damping_;
    if (!try_accelerated() && !try_step(inner.predicted)) {
      problem_.record(error, norm, used, inner.iterations);
      if (++rejections > kMaxRejections || !(damping_ < kLastDamping)) return StopReason::stalled;
      continue;
    }
    rejections = 0;
    accept();
    error = objective_.error(data_);
    bool moved = hold();
    const bool settled = test.settled(std::sqrt(2 * value_));
    if (waiting_ && (2 * data_ < kNothing || settled || iteration == kLongestWait)) {
      begin_ridge();
      test.restart(std::sqrt(2 * value_));
      moved = true;
    }
    gradient();
    norm = std::sqrt(squared_norm(gradient_.data(), gradient_.size()));
    problem_.record(error, norm, used, inner.iterations);
    if (error < kExactError) return StopReason::exact;
    if (may_hand_over_ && !waiting_ && is_well_conditioned(error, inner.iterations)) {
      handed_over_ = true;
      return StopReason::max_iterations;
    }
    if (settled && !moved) return StopReason::converged;
  }
  return StopReason::max_iterations;
}

}  // namespace

StopReason nls(Problem& problem, Factors& factors) {
  const auto left = [&] { return problem.spec().max_iterations - static_cast<std::int64_t>(problem.trace.size()); };
  StopReason reason = StopReason::max_iterations;
  {
    const auto objective = frobenius_objective(problem, factors);
    if (!Nls(problem, *objective, factors).run_until_easy(left(), reason)) return reason;
  }
  if (left() > 0)
    reason = als(problem, factors, {left(), std::max(problem.spec().tolerance, kAlternating), kLargeResidual});
  if (left() <= 0) return reason;
  const auto objective = frobenius_objective(problem, factors);
  return Nls(problem, *objective, factors).run(left(), kManyInner);
}

StopReason nls_in_metric(Problem& problem, Factors& factors) {
  const auto objective = metric_objective(problem, factors);
  return Nls(problem, *objective, factors).run(std::min(problem.spec().max_iterations, kMetricSteps), kMetricInner);
}

Factors nls_gradient(Problem& problem, const Factors& factors) {
  Factors x = factors;
  const auto objective = problem.metric() ? metric_objective(problem, x) : frobenius_objective(problem, x);
  return Nls(problem, *objective, x).gradient_at_start();
}

}  // namespace polyadic::solver

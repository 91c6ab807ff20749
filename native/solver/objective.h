// What NLS minimises: ½·(squared distance of T and M in some norm), its gradient and its Gauss–Newton matrix. A trial
// point is evaluated, and then either accepted, whereupon the gradient may be asked for, or dropped by evaluating
// another.
#pragma once

#include <memory>
#include <vector>

#include "problem.h"

namespace polyadic::solver {

class Objective {
 public:
  virtual ~Objective() = default;

  // The value at `at`, which becomes the trial.
  virtual double evaluate(const Factors& at) = 0;
  // The trial becomes the point: gram, gradient and the rest are about it from now on.
  virtual void accept() = 0;
  // Columns of the point x have been rescaled: column r of A_n by scale[n·R + r], at no change of M.
  virtual void rescale(const Factors& x, const std::vector<double>& scale) = 0;

  // dst = the gradient at the point x; prepares block and apply.
  virtual void gradient(const Factors& x, Factors& dst) = 0;
  // R×R: what the preconditioner takes for the diagonal block of mode n, of which it is I_n times the same.
  virtual const double* block(std::size_t n) const = 0;
  // dst = JᵀJ·p
  virtual void apply(const Factors& x, const Factors& p, Factors& dst) = 0;
  // W_n of the point
  virtual const double* gram(std::size_t n) const = 0;

  // ‖T − M‖/‖T‖ in the norm of this objective, from its value.
  virtual double error(double value) const = 0;
};

// In the Frobenius norm.
std::unique_ptr<Objective> frobenius_objective(Problem& problem, const Factors& x);
// In the norm of problem.metric().
std::unique_ptr<Objective> metric_objective(Problem& problem, const Factors& x);

}  // namespace polyadic::solver

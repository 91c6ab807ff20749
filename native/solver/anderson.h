// Anderson acceleration: what the last steps of a fixed-point iteration x ← x + F(x) say about its Jacobian, used to
// mend the next one. Equivalent to a multi-secant quasi-Newton method whose first guess is the iteration itself.
#pragma once

#include <cstdint>
#include <vector>

namespace polyadic::solver {

class Anderson {
 public:
  // Keeps up to `window` differences of vectors of `size`.
  Anderson(std::int64_t size, int window);

  // Takes in one evaluation: at x, the iteration would step by F.
  void push(const double* x, const double* step);
  // next = x + F − Σ c_i (Δx_i + ΔF_i) with c = argmin ‖F − Σ c_i ΔF_i‖ for the pair pushed last.
  // Returns false, next untouched, while there is no difference yet.
  bool mix(double* next) const;
  // Forgets everything but the pair pushed last.
  void restart() { count_ = 0; }
  // Forgets everything: the variables have been rescaled.
  void clear() {
    count_ = 0;
    primed_ = false;
  }

 private:
  std::int64_t size_;
  int window_;
  int count_ = 0;  // differences held
  int next_ = 0;   // where the next one goes
  bool primed_ = false;
  std::vector<double> x_, step_;              // pushed last
  std::vector<std::vector<double>> d_step_;   // ΔF_i
  std::vector<std::vector<double>> d_image_;  // Δx_i + ΔF_i
};

}  // namespace polyadic::solver

// Trains a plan: loss, backward pass and optimiser step as one job.
#pragma once

#include <cstdint>
#include <vector>

#include "plan.h"

namespace polyadic {

// v ← momentum·v + g + weight_decay·w;  w ← w − rate·v, or with Nesterov w ← w − rate·(g + weight_decay·w + momentum·v)
struct Sgd {
  float learning_rate = 0, momentum = 0;
  bool nesterov = false;
  std::vector<float> weight_decay, rate_scale;  // one a parameter; a rate of 0 leaves it untouched
  float clip_norm = 0;                          // 0: no clipping
};

struct StepResult {
  double loss = 0;           // mean over the examples counted
  std::int64_t correct = 0;  // whose largest logit is the target
  double gradient_norm = 0;  // before clipping
};

class Trainer {
 public:
  // The plan's output 0 must be logits N×K×1×1.
  explicit Trainer(PlanSpec spec);

  // Nothing is changed when the loss or the gradient is not finite, or when the job is cancelled.
  StepResult step(const std::vector<const float*>& inputs, const std::int32_t* target, float label_smoothing,
                  const Sgd& sgd, const JobControl* control);
  StepResult evaluate(const std::vector<const float*>& inputs, const std::int32_t* target, std::int64_t count,
                      const JobControl* control);
  // Leaves the gradients in the parameters.
  StepResult gradients(const std::vector<const float*>& inputs, const std::int32_t* target, float label_smoothing,
                       const JobControl* control);

  Plan& plan() { return plan_; }

 private:
  StepResult loss(const std::int32_t* target, std::int64_t count, float label_smoothing, bool with_gradient);
  double gradient_norm();
  void update(const Sgd& sgd, float scale);

  Plan plan_;
};

}  // namespace polyadic

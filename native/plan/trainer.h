// Trains a plan: losses, backward pass and optimiser step as one job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "loss.h"
#include "plan.h"
#include "sensitivity.h"

namespace polyadic {

struct Optimiser {
  enum class Kind { sgd, adamw };
  Kind kind = Kind::sgd;
  float learning_rate = 0;
  float momentum = 0;  // sgd
  bool nesterov = false;
  float beta1 = 0, beta2 = 0, epsilon = 0;      // adamw
  std::int64_t step = 1;                        // adamw: which one this is, from 1, for the bias of the moments
  std::vector<float> weight_decay, rate_scale;  // one a parameter; a rate of 0 leaves it untouched
  float clip_norm = 0;                          // 0: no clipping
  float average_decay = 0;                      // of the exponential moving average of the weights; 0: none
  std::uint64_t seed = 0;                       // of this step's dropout
};

struct StepResult {
  double loss = 0;           // weighted sum of all losses, each a mean over the examples counted
  double penalty = 0;        // the sensitivities' part of it
  std::int64_t correct = 0;  // whose largest logit is the target
  double gradient_norm = 0;  // before clipping
};

class Trainer {
 public:
  Trainer(PlanSpec spec, std::vector<SensitivitySpec> sensitivities);

  // Nothing is changed when the loss or the gradient is not finite, or when the job is cancelled.
  StepResult step(const std::vector<const float*>& inputs, const std::vector<Loss>& losses, const Optimiser& optimiser,
                  const JobControl* control);
  // Inference behaviour of dropout and batch normalisation; over the first `count` examples.
  StepResult evaluate(const std::vector<const float*>& inputs, const std::vector<Loss>& losses, std::int64_t count,
                      const JobControl* control);
  // Leaves the gradients in the parameters.
  StepResult gradients(const std::vector<const float*>& inputs, const std::vector<Loss>& losses, std::uint64_t seed,
                       const JobControl* control);

  // One parameter's values or state in ONNX order; empty for state that there is none of.
  enum class What { weights, first, second, average, gradient };
  std::vector<float> read(std::size_t parameter, What what) const;
  // Empty: the state is dropped. Throws Error(shape) for another length than the parameter's.
  void write(std::size_t parameter, What what, const float* values, std::size_t count);
  // Takes the moving average for the weights and the other way round; nothing where there is no average.
  void swap_average();

  Plan& plan() { return plan_; }
  const Plan& plan() const { return plan_; }

 private:
  // Forward, losses over the first `count` examples and, where asked, backward: slice by slice.
  StepResult pass(const std::vector<const float*>& inputs, const std::vector<Loss>& losses, std::int64_t count,
                  bool with_gradient, const JobControl* control);
  double gradient_norm();
  bool is_moved(std::size_t index, const Optimiser& optimiser) const;
  void prepare_update(const Optimiser& optimiser);
  void update(const Optimiser& optimiser, float scale);

  Plan plan_;
  std::vector<Sensitivity> sensitivities_;
};

}  // namespace polyadic

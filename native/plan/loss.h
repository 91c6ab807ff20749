// Losses of a training plan: what is wrong with an output, and the gradient that its backward pass starts from.
#pragma once

#include <cstdint>
#include <vector>

#include "../ops/step.h"

namespace polyadic {

struct Loss {
  enum class Kind {
    cross_entropy,  // −Σ_k q_k log p_k of logits N×K, q = (1 − s)·onehot + s/K with smoothing s; mean over examples
    mean_squared,  // (x − t)², mean over all elements
    distillation   // T²·KL(softmax(t/T) ‖ softmax(x/T)) of logits N×K, mean over examples
  };
  Kind kind = Kind::cross_entropy;
  std::size_t output = 0;  // of the plan
  float weight = 1;
  float smoothing = 0, temperature = 1;
  std::vector<std::int32_t> classes;  // cross_entropy: one an example
  const float* values = nullptr;      // the others: dense N×C×H×W
};

struct LossResult {
  double loss = 0;           // weighted
  std::int64_t correct = 0;  // examples whose largest logit is the target's (distillation: the teacher's)
  bool counts = false;       // whether `correct` means something
};

// Over the first `count` examples. Adds to the value's gradient where asked. Throws Error(argument or shape) for
// targets that do not fit.
LossResult evaluate_loss(const Loss& loss, Value& value, std::int64_t count, bool with_gradient);

}  // namespace polyadic

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

// Of one loss over a batch that is seen slice by slice.
struct LossSum {
  double sum = 0;            // over the examples so far, neither weighted nor divided
  std::int64_t correct = 0;  // examples whose largest logit is the target's (distillation: the teacher's)
};

// Which examples of the batch an output holds: [first, first + examples) of the `count` that the loss is a mean over.
struct LossSlice {
  std::int64_t first, examples, count;
};

// Adds to the sum and, where asked, to the value's gradient. Throws Error(argument or shape) for targets that do not
// fit.
void add_loss(const Loss& loss, Value& value, const LossSlice& slice, bool with_gradient, LossSum& sum);
// The weighted loss of the whole batch, from its sum; value: any slice of its output.
double loss_of(const Loss& loss, const LossSum& sum, const Value& value, std::int64_t count);
// Whether `correct` means something.
inline bool counts_correct(const Loss& loss) { return loss.kind != Loss::Kind::mean_squared; }

}  // namespace polyadic

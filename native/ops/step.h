// One operator of a plan: forward and, in training, backward.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../core/bf16.h"
#include "../core/buffer.h"
#include "../core/layout.h"
#include "../plan/plan_spec.h"
#include "context.h"

namespace polyadic {

// A value of a plan and, in training, the gradient of the loss with respect to it.
struct Value {
  Layout layout;       // with order.places() channels where they lie by pieces
  ChannelOrder order;  // of a convolution's output and its gradient
  float* data = nullptr;
  Layout grad_layout;
  float* grad = nullptr;
  bool needs_grad = false;
  bool constant = false;  // dense: depends neither on the plan's inputs nor on what is trained
  bool bf16 = false;      // `data` holds bfloat16
  // Memory it takes, in floats.
  std::int64_t floats() const { return bf16 ? (layout.size() + 1) / 2 : layout.size(); }
  Bf16* half() const { return reinterpret_cast<Bf16*>(data); }
  void* at(std::int64_t element) const { return bf16 ? static_cast<void*>(half() + element) : data + element; }
};

class Gather;
class WeightStore;

struct Parameter {
  // Row-major as in ONNX, or in a gather's packed order. Gradient and optimiser state lie like the values.
  Buffer data;
  Buffer grad;
  Buffer first, second;             // SGD: velocity; AdamW: first and second moment
  Buffer average;                   // exponential moving average of the values
  std::size_t count = 0;            // of elements in ONNX order
  const Gather* packing = nullptr;  // whose packed order the buffers have; its step begins the gradient
  int uses = 0;                     // by steps of the plan and as a value
  std::int64_t version = 0;         // grows with every change of the values
  bool trainable = false;
  bool statistics = false;  // changed by commit(), not by gradients
};

class Step {
 public:
  virtual ~Step() = default;

  // Takes over the parameters as they are now. Called once for inference, before each forward pass in training.
  virtual void pack(const Context&) {}
  // Inference: pack() will not be called again.
  virtual void packed_for_good() {}
  // The same, right after pack(): puts its packed weights into the store, reads those that it gets from there, and says
  // how many bytes others had already.
  virtual std::size_t share_weights(WeightStore&) { return 0; }
  virtual void forward(const Context& context) = 0;
  // From the output's gradient: adds to parameters' gradients, sets (or, where accumulate[i], adds to) the inputs'. The
  // context says which slice of the batch it is: sums over the batch begin in the first (see batch_sums.h).
  // Unless a step says how, it must not stand between a trainable parameter and a loss.
  virtual void backward(const Context&);

  // Training, once an update is sure to happen: what forward() noted becomes part of the parameters.
  virtual void commit() {}

  // For `describe`: which kernel with which tile.
  virtual std::string kernel() const { return "plain"; }
  // Why that one and no other, in the words of what decided; empty where there was nothing to decide.
  virtual std::string why() const { return {}; }
  virtual std::size_t weight_bytes() const { return 0; }
  virtual std::size_t scratch_floats() const { return 0; }

  // Set by the plan before the first backward pass: another consumer of input i has already left its gradient there.
  std::vector<bool> accumulate;
  bool accumulate_residual = false;  // the same for the residual
};

// All that a step may refer to; lives as long as the plan.
struct StepResources {
  std::vector<Value>& values;
  std::vector<Parameter>& parameters;
  bool training;
  int threads;
};

std::unique_ptr<Step> make_step(const StepSpec& spec, StepResources resources);

std::unique_ptr<Step> make_convolution(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_cp_block(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_activation(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_maxout(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_pool(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_global_average_pool(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_binary(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_affine(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_softmax(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_flatten(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_concat(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_lrn(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_conv_transpose(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_batch_norm(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_dropout(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_resample(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_channels(const StepSpec& spec, StepResources resources);

// Steps over values in bfloat16, see ops/bf16/.
std::unique_ptr<Step> make_convert(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_bf16_convolution(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_bf16_cp_block(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_bf16_pool(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_bf16_flatten(const StepSpec& spec, StepResources resources);
std::unique_ptr<Step> make_bf16_concat(const StepSpec& spec, StepResources resources);
// Whether a step can read and write values in bfloat16.
bool takes_bf16(const StepSpec& step);

// Leaves a gradient where an earlier consumer of the value may have left its own.
inline void deposit(float& to, float gradient, bool add) { to = add ? to + gradient : gradient; }

// The shape of a convolution between two values. Throws Error(shape) when they do not fit.
ConvolutionShape convolution_shape(const ConvolutionSpec& spec, const Layout& in, std::int64_t out_channels,
                                   std::int64_t out_h, std::int64_t out_w);

// f(offset of the row's first float relative to layout A, the same relative to layout B, floats in the row) for each
// row of two values of the same shape and block, in parallel over images and channel blocks.
template <class F>
void each_row(const Context& context, const Layout& a, const Layout& b, F&& f) {
  const std::int64_t blocks = a.blocks();
  context.parallel(a.n * blocks, [&](std::int64_t index, int) {
    const std::int64_t n = index / blocks, block = index % blocks;
    std::int64_t at_a = a.at(n, block);
    std::int64_t at_b = b.at(n, block);
    for (std::int64_t y = 0; y < a.h; ++y, at_a += a.row(), at_b += b.row()) f(at_a, at_b, a.w * a.block);
  });
}

}  // namespace polyadic

// The compiled network as TypeScript hands it over: see lib/runtime/plan-spec.ts, which documents every field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../ops/channel_order.h"
#include "../ops/geometry.h"
#include "dense_spec.h"

namespace polyadic {

struct ValueSpec {
  std::int64_t n, c, h, w;
  bool dense = false;  // row-major, 1×1×1×elements, never blocked
  int parameter = -1;  // dense: the elements are this parameter's
  bool bf16 = false;   // blocked: kept in bfloat16
};

struct ActivationSpec {
  enum class Kind {
    none,
    relu,
    leaky_relu,
    clip,
    sigmoid,
    tanh,
    hard_sigmoid,
    hard_swish,
    elu,
    selu,
    softplus,
    swish,
    gelu,
    gelu_tanh,
    mish,
    softsign,
    thresholded_relu,
    affine,
    scaled_tanh
  };
  Kind kind = Kind::none;
  float alpha = 0, beta = 0;
};

// How a convolution is computed; automatic: by what is expected to be fastest.
enum class Algorithm { automatic, direct, winograd2, winograd4 };

struct ConvolutionSpec {
  Window window;
  std::int64_t groups = 1;
  int weight = -1, bias = -1;
  Algorithm algorithm = Algorithm::automatic;  // not of a CP block's stage
  std::int64_t batch = 1;  // set by the plan: images that there are, of which a step may see a slice
};

enum class Op {
  convolution,
  cp_block,
  activation,
  maxout,
  max_pool,
  average_pool,
  global_average_pool,
  add,
  multiply,
  affine,
  softmax,
  log_softmax,
  flatten,
  concat,
  lrn,
  batch_norm,  // training only
  dropout,     // training only
  conv_transpose,
  resample,
  channels,
  convert,
  // From here on over dense values, but for the two conversions and for elementwise, which takes either.
  to_dense,
  to_blocked,
  elementwise,
  copy,
  take,
  interpolate,
  reduce,
  along,
  normalise,
  gather,
  scatter,
  top_k,
  pool,
  matmul,
  recurrent
};

constexpr Op kLastOp = Op::recurrent;

inline bool is_dense_op(Op op) { return op >= Op::copy; }
inline bool is_convolution(Op op) { return op == Op::convolution || op == Op::cp_block; }

struct StepSpec {
  Op op{};
  std::vector<int> inputs;
  int output = -1;
  ConvolutionSpec convolution;          // convolution
  std::vector<ConvolutionSpec> stages;  // cp_block
  Maxout maxout;                        // convolution, cp_block, maxout
  ActivationSpec activation;            // convolution, cp_block, activation
  std::vector<ActivationSpec> cell;     // recurrent: of each direction's gates
  int residual = -1;                    // convolution, cp_block
  bool bf16 = false;                    // convolution, cp_block: by bfloat16 kernels
  Window window;                        // pools
  bool count_include_pad = false;       // average_pool
  int scale = -1, shift = -1;           // affine, batch_norm
  std::int64_t size = 0;                // lrn
  float alpha = 0, beta = 0, bias = 0;  // lrn
  int mean = -1, variance = -1;         // batch_norm
  float epsilon = 0, momentum = 0;      // batch_norm
  bool batch_statistics = false;        // batch_norm
  float ratio = 0;                      // dropout
  DenseSpec dense;                      // elementwise and all over dense values
  bool dense_values = false;            // elementwise: set by the plan from its output
};

// A parameter as it is handed over: the caller's memory, which has to stay as it is until the plan is made.
struct Elements {
  const float* data = nullptr;
  std::size_t count = 0;
  std::size_t size() const { return count; }
};

struct PlanSpec {
  int threads = 1;
  bool training = false;
  std::int64_t slice = 0;  // images that go through the network at a time; 0: by what is expected to be fastest
  std::vector<ValueSpec> values;
  std::vector<Elements> parameters;  // none once the plan is made
  std::vector<bool> trainable;
  std::vector<StepSpec> steps;
  std::vector<int> inputs, outputs;
};

const char* op_name(Op op);

// Indices of the parameters that a step reads, and of the values: its inputs and its residual.
std::vector<int> step_parameters(const StepSpec& step);
std::vector<int> step_values(const StepSpec& step);

}  // namespace polyadic

// float32 kernels that only training needs: element-wise passes over rows of blocked values, and updates of parameters.
// A row is `pixels` pixels of one channel block, [pixels][block]; what is "a lane" below is one float a channel,
// [block].
#pragma once

#include <cstddef>
#include <cstdint>

namespace polyadic {

// How an optimiser step changes one parameter.
struct UpdateArgs {
  float* weight;
  const float* grad;
  float* first;   // SGD: velocity; AdamW: first moment
  float* second;  // AdamW: second moment
  std::int64_t count;
  float rate, decay;
  float scale;  // on the gradient
  float momentum;
  bool nesterov;                              // SGD
  float beta1, beta2, epsilon;                // AdamW
  float first_correction, second_correction;  // AdamW: 1 − β₁ᵗ and 1 − β₂ᵗ
};

struct MaxoutArgs {
  const float* x;              // pixel 0 of the row in the input
  const std::int32_t* pieces;  // [pieces][block]: offset of each piece of each output channel from a pixel of x
  std::int64_t count;          // pieces
  std::int64_t pixels;
  int lanes;  // channels of the block that exist
  float* y;
  // Backward: the gradient of the row, and where that of the input begins, with offsets of its own.
  const float* dy;
  float* dx;
  const std::int32_t* dx_pieces;
};

struct PoolGradientArgs {
  const float* x;   // first pixel of the window in the input
  float* dx;        // the same in the input's gradient
  const float* y;   // maximum: the window's result
  const float* dy;  // its gradient
  std::int64_t rows, columns;
  std::ptrdiff_t x_row, x_column, dx_row, dx_column;  // floats from a row or column of the window to the next
  float scale;                                        // average: 1 / count
};

struct TrainingKernels {
  // dy ← dy·slope with slope 1 where y > 0, else alpha; sums[lane] += Σ dy. Without y: the sums alone.
  void (*relu_rows)(const float* y, float* dy, std::int64_t pixels, float alpha, float* sums);
  // dx ← (or +=) dy where y > 0, else alpha·dy; over `count` floats.
  void (*relu_gradient)(const float* y, const float* dy, float* dx, std::int64_t count, float alpha, bool add);
  // to ← from, or to += from.
  void (*deposit)(const float* from, float* to, std::int64_t count, bool add);
  // y = scale·x + shift by lane, with max(·, 0) where relu.
  void (*scale_rows)(const float* x, float* y, std::int64_t pixels, const float* scale, const float* shift, bool relu);
  // sums[lane] += Σ (x − mean), squares[lane] += Σ (x − mean)².
  void (*moments)(const float* x, std::int64_t pixels, const float* mean, float* sums, float* squares);
  // sums[lane] += Σ dy, products[lane] += Σ dy·(x − mean).
  void (*products)(const float* x, const float* dy, std::int64_t pixels, const float* mean, float* sums,
                   float* products);
  // dx ← (or +=) a·dy + b·x + c by lane.
  void (*combine_rows)(const float* x, const float* dy, float* dx, std::int64_t pixels, const float* a, const float* b,
                       const float* c, bool add);
  void (*maxout)(const MaxoutArgs& args);
  // The gradient goes to the first piece that holds the maximum; the others' are cleared unless `add`.
  void (*maxout_gradient)(const MaxoutArgs& args, bool add);
  // One window: to its first maximum, and to all of it evenly. Both add.
  void (*max_pool_gradient)(const PoolGradientArgs& args);
  void (*average_pool_gradient)(const PoolGradientArgs& args);
  // v ← momentum·v + g + decay·w;  w ← w − rate·v, or with Nesterov w ← w − rate·(g + decay·w + momentum·v).
  void (*sgd)(const UpdateArgs& args);
  // m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  w ← w − rate·(decay·w + m̂ / (√v̂ + ε)).
  void (*adamw)(const UpdateArgs& args);
  // Σ x², in blocks of float that are added up in double.
  double (*square_sum)(const float* x, std::int64_t count);
  // average ← average + (1 − decay)·(value − average)
  void (*average)(float* average, const float* value, std::int64_t count, float decay);
  // dst[j·dst_row + l] = src[l·src_row + j] for l < rows (0 for the other lanes) and j < columns.
  void (*transpose)(const float* src, std::ptrdiff_t src_row, int rows, float* dst, std::ptrdiff_t dst_row,
                    int columns);
};

}  // namespace polyadic

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

// The same where the pieces are blocks of their own: piece j of a pixel begins j·x_piece floats after piece 0.
struct MaxoutBlocksArgs {
  const float* x;
  std::ptrdiff_t x_piece;
  std::int64_t count, pixels;
  float* y;
  const float* dy;
  float* dx;
  std::ptrdiff_t dx_piece;
};

// Weight gradient of one channel block of a depthwise convolution, over rows of pixels.
struct DepthwiseGradArgs {
  const float* src;
  const float* diff;
  std::int64_t rows, pixels;
  std::ptrdiff_t src_row, src_pixel, diff_row;  // floats; the pixels of diff lie side by side
  const std::int32_t* offsets;                  // one a tap, from a pixel of src
  int taps;                                     // at most kMaxGradTaps
  float* grad;                                  // [taps][block], added to
};

constexpr int kMaxGradTaps = 12;

struct TrainingKernels {
  // dy ← dy·slope with slope 1 where y > 0, else alpha; sums[lane] += Σ dy. Without y: the sums alone.
  void (*relu_rows)(const float* y, float* dy, std::int64_t pixels, float alpha, float* sums);
  // dx ← (or +=) dy where y > 0, else alpha·dy; over `count` floats.
  void (*relu_gradient)(const float* y, const float* dy, float* dx, std::int64_t count, float alpha, bool add);
  // to ← from, or to += from.
  void (*deposit)(const float* from, float* to, std::int64_t count, bool add);
  // y = scale·x + shift by lane, plus `other` unless null, with max(·, 0) where relu.
  void (*scale_rows)(const float* x, const float* other, float* y, std::int64_t pixels, const float* scale,
                     const float* shift, bool relu);
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
  void (*maxout_blocks)(const MaxoutBlocksArgs& args);
  void (*maxout_blocks_gradient)(const MaxoutBlocksArgs& args);
  // For j < taps, lane l: grad[j][l] += Σ over pixels of src[offsets[j] + l] · diff[l].
  void (*depthwise_grad)(const DepthwiseGradArgs& args);
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

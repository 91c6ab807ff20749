// The one body of every training kernel. Included once by each ISA's file after its vec_*.h: loops over the lanes of a
// block have a constant length, which the compiler turns into vectors.
#include <math.h>

#include "training_kernels.h"

namespace {

constexpr int kLanes = Vec::kLanes;

void relu_rows(const float* y, float* dy, std::int64_t pixels, float alpha, float* sums) {
  const Vec slope = Vec::broadcast(alpha);
  Vec total = Vec::load(sums);
  if (!y) {
    for (std::int64_t p = 0; p < pixels; ++p, dy += kLanes) total = total + Vec::load(dy);
    return total.store(sums);
  }
  for (std::int64_t p = 0; p < pixels; ++p, dy += kLanes, y += kLanes) {
    const Vec gradient = Vec::load(dy);
    const Vec value = if_positive(Vec::load(y), gradient, slope * gradient);
    value.store(dy);
    total = total + value;
  }
  total.store(sums);
}

void relu_gradient(const float* y, const float* dy, float* dx, std::int64_t count, float alpha, bool add) {
  const Vec slope = Vec::broadcast(alpha);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Vec gradient = Vec::load(dy + i);
    const Vec value = if_positive(Vec::load(y + i), gradient, slope * gradient);
    (add ? value + Vec::load(dx + i) : value).store(dx + i);
  }
  for (; i < count; ++i) {
    const float value = y[i] > 0 ? dy[i] : alpha * dy[i];
    dx[i] = add ? dx[i] + value : value;
  }
}

void deposit_row(const float* from, float* to, std::int64_t count, bool add) {
  if (add) {
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

void scale_rows(const float* x, const float* other, float* y, std::int64_t pixels, const float* scale,
                const float* shift, bool relu) {
  const Vec a = Vec::load(scale), b = Vec::load(shift);
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes, y += kLanes) {
    Vec value = fma(a, Vec::load(x), b);
    if (other) value = value + Vec::load(other + p * kLanes);
    (relu ? max(Vec::zero(), value) : value).store(y);
  }
}

void moments(const float* x, std::int64_t pixels, const float* mean, float* sums, float* squares) {
  const Vec centre = Vec::load(mean);
  Vec s = Vec::load(sums), q = Vec::load(squares);
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes) {
    const Vec d = Vec::load(x) - centre;
    s = s + d;
    q = fma(d, d, q);
  }
  s.store(sums);
  q.store(squares);
}

void products(const float* x, const float* dy, std::int64_t pixels, const float* mean, float* sums, float* result) {
  const Vec centre = Vec::load(mean);
  Vec s = Vec::load(sums), q = Vec::load(result);
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes, dy += kLanes) {
    const Vec gradient = Vec::load(dy);
    s = s + gradient;
    q = fma(gradient, Vec::load(x) - centre, q);
  }
  s.store(sums);
  q.store(result);
}

void combine_rows(const float* x, const float* dy, float* dx, std::int64_t pixels, const float* a, const float* b,
                  const float* c, bool add) {
  const Vec va = Vec::load(a), vb = Vec::load(b), vc = Vec::load(c), one = Vec::broadcast(1.0f);
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes, dy += kLanes, dx += kLanes) {
    Vec value = fma(va, Vec::load(dy), fma(vb, Vec::load(x), vc));
    if (add) value = fma(one, value, Vec::load(dx));
    value.store(dx);
  }
}

void maxout(const polyadic::MaxoutArgs& args) {
  const float* x = args.x;
  float* y = args.y;
  for (std::int64_t p = 0; p < args.pixels; ++p, x += kLanes, y += kLanes) {
    for (int l = 0; l < args.lanes; ++l) {
      float best = x[args.pieces[l]];
      for (std::int64_t j = 1; j < args.count; ++j) {
        const float other = x[args.pieces[j * kLanes + l]];
        best = other > best || other != other ? other : best;
      }
      y[l] = best;
    }
  }
}

// No branches: which piece wins is as good as random.
inline float kept(float value, bool keep) {
  union {
    float f;
    std::uint32_t u;
  } bits;
  bits.f = value;
  bits.u &= 0u - static_cast<std::uint32_t>(keep);
  return bits.f;
}

template <bool Add>
void maxout_pair_gradient(const polyadic::MaxoutArgs& given) {
  const polyadic::MaxoutArgs args = given;
  const float* x = args.x;
  const float* dy = args.dy;
  float* dx = args.dx;
  for (std::int64_t p = 0; p < args.pixels; ++p, x += kLanes, dy += kLanes, dx += kLanes) {
    for (int l = 0; l < args.lanes; ++l) {
      const bool second = x[args.pieces[kLanes + l]] > x[args.pieces[l]];
      const float to_a = kept(dy[l], !second), to_b = kept(dy[l], second);
      float* a = dx + args.dx_pieces[l];
      float* b = dx + args.dx_pieces[kLanes + l];
      *a = Add ? *a + to_a : to_a;
      *b = Add ? *b + to_b : to_b;
    }
  }
}

void maxout_gradient(const polyadic::MaxoutArgs& args, bool add) {
  if (args.count == 2) return add ? maxout_pair_gradient<true>(args) : maxout_pair_gradient<false>(args);
  const float* x = args.x;
  const float* dy = args.dy;
  float* dx = args.dx;
  for (std::int64_t p = 0; p < args.pixels; ++p, x += kLanes, dy += kLanes, dx += kLanes) {
    for (int l = 0; l < args.lanes; ++l) {
      std::int64_t best = 0;
      for (std::int64_t j = 1; j < args.count; ++j)
        best = x[args.pieces[j * kLanes + l]] > x[args.pieces[best * kLanes + l]] ? j : best;
      for (std::int64_t j = 0; !add && j < args.count; ++j) dx[args.dx_pieces[j * kLanes + l]] = 0.0f;
      dx[args.dx_pieces[best * kLanes + l]] += dy[l];
    }
  }
}

void maxout_blocks(const polyadic::MaxoutBlocksArgs& given) {
  const polyadic::MaxoutBlocksArgs args = given;
  for (std::int64_t p = 0; p < args.pixels * kLanes; p += kLanes) {
    Vec best = Vec::load(args.x + p);
    for (std::int64_t j = 1; j < args.count; ++j) best = max_or_nan(best, Vec::load(args.x + p + j * args.x_piece));
    best.store(args.y + p);
  }
}

void maxout_blocks_gradient(const polyadic::MaxoutBlocksArgs& given) {
  const polyadic::MaxoutBlocksArgs args = given;
  const Vec zero = Vec::zero();
  for (std::int64_t p = 0; p < args.pixels * kLanes; p += kLanes) {
    const Vec best = Vec::load(args.y + p);
    Vec rest = Vec::load(args.dy + p);  // a lane's gradient until its maximum is found, then 0
    for (std::int64_t j = 0; j < args.count; ++j) {
      const Vec value = Vec::load(args.x + p + j * args.x_piece);
      if_equal(value, best, rest, zero).store(args.dx + p + j * args.dx_piece);
      rest = if_equal(value, best, zero, rest);
    }
  }
}

template <int Taps>
void depthwise_grad_taps(const polyadic::DepthwiseGradArgs& given) {
  const polyadic::DepthwiseGradArgs args = given;
  std::ptrdiff_t offset[Taps];
  Vec acc[Taps];
#pragma GCC unroll 12
  for (int j = 0; j < Taps; ++j) {
    offset[j] = args.offsets[j];
    acc[j] = Vec::load(args.grad + j * kLanes);
  }
  for (std::int64_t y = 0; y < args.rows; ++y) {
    const float* x = args.src + y * args.src_row;
    const float* diff = args.diff + y * args.diff_row;
    for (std::int64_t p = 0; p < args.pixels; ++p, x += args.src_pixel, diff += kLanes) {
      const Vec d = Vec::load(diff);
#pragma GCC unroll 12
      for (int j = 0; j < Taps; ++j) acc[j] = fma(Vec::load(x + offset[j]), d, acc[j]);
    }
  }
#pragma GCC unroll 12
  for (int j = 0; j < Taps; ++j) acc[j].store(args.grad + j * kLanes);
}

void depthwise_grad(const polyadic::DepthwiseGradArgs& args) {
  constexpr void (*by_taps[polyadic::kMaxGradTaps])(const polyadic::DepthwiseGradArgs&) = {
      depthwise_grad_taps<1>, depthwise_grad_taps<2>,  depthwise_grad_taps<3>,  depthwise_grad_taps<4>,
      depthwise_grad_taps<5>, depthwise_grad_taps<6>,  depthwise_grad_taps<7>,  depthwise_grad_taps<8>,
      depthwise_grad_taps<9>, depthwise_grad_taps<10>, depthwise_grad_taps<11>, depthwise_grad_taps<12>};
  by_taps[args.taps - 1](args);
}

void sgd(const polyadic::UpdateArgs& given) {
  const polyadic::UpdateArgs a = given;
  float* w = a.weight;
  float* v = a.first;
  const float* grad = a.grad;
  const float of_gradient = a.nesterov ? 1.0f : 0.0f, of_velocity = a.nesterov ? a.momentum : 1.0f;
  for (std::int64_t i = 0; i < a.count; ++i) {
    const float g = grad[i] * a.scale + a.decay * w[i];
    const float velocity = a.momentum * v[i] + g;
    v[i] = velocity;
    w[i] -= a.rate * (of_gradient * g + of_velocity * velocity);
  }
}

void adamw(const polyadic::UpdateArgs& given) {
  const polyadic::UpdateArgs a = given;
  float* w = a.weight;
  float* m = a.first;
  float* v = a.second;
  const float* grad = a.grad;
  for (std::int64_t i = 0; i < a.count; ++i) {
    const float g = grad[i] * a.scale;
    m[i] = a.beta1 * m[i] + (1 - a.beta1) * g;
    v[i] = a.beta2 * v[i] + (1 - a.beta2) * g * g;
    const float root = sqrtf(v[i] / a.second_correction) + a.epsilon;
    w[i] -= a.rate * (a.decay * w[i] + m[i] / a.first_correction / root);
  }
}

double square_sum(const float* x, std::int64_t count) {
  constexpr std::int64_t kBlock = 256;
  double total = 0;
  while (count > 0) {
    const std::int64_t length = count < kBlock ? count : kBlock;
    float lanes[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= length; i += kLanes) {
      for (int l = 0; l < kLanes; ++l) lanes[l] += x[i + l] * x[i + l];
    }
    for (; i < length; ++i) lanes[0] += x[i] * x[i];
    for (int l = 0; l < kLanes; ++l) total += static_cast<double>(lanes[l]);
    x += length;
    count -= length;
  }
  return total;
}

void average_values(float* average, const float* value, std::int64_t count, float decay) {
  for (std::int64_t i = 0; i < count; ++i) average[i] += (1 - decay) * (value[i] - average[i]);
}

void transpose(const float* src, std::ptrdiff_t src_row, int rows, float* dst, std::ptrdiff_t dst_row, int columns) {
  if (rows == kLanes) {
    for (int j = 0; j < columns; ++j) {
      for (int l = 0; l < kLanes; ++l) dst[j * dst_row + l] = src[l * src_row + j];
    }
    return;
  }
  for (int j = 0; j < columns; ++j) {
    for (int l = 0; l < kLanes; ++l) dst[j * dst_row + l] = l < rows ? src[l * src_row + j] : 0.0f;
  }
}

constexpr polyadic::TrainingKernels training_kernels() {
  return {relu_rows,
          relu_gradient,
          deposit_row,
          scale_rows,
          moments,
          products,
          combine_rows,
          maxout,
          maxout_gradient,
          maxout_blocks,
          maxout_blocks_gradient,
          depthwise_grad,
          sgd,
          adamw,
          square_sum,
          average_values,
          transpose};
}

}  // namespace

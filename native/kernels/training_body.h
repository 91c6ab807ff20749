// The one body of every training kernel. Included once by each ISA's file after its vec_*.h: loops over the lanes of a
// block have a constant length, which the compiler turns into vectors.
#include <math.h>

#include "training_kernels.h"

namespace {

constexpr int kLanes = Vec::kLanes;

void relu_rows(const float* y, float* dy, std::int64_t pixels, float alpha, float* sums) {
  float total[kLanes];
  for (int l = 0; l < kLanes; ++l) total[l] = sums[l];
  for (std::int64_t p = 0; p < pixels; ++p, dy += kLanes) {
    if (y) {
      for (int l = 0; l < kLanes; ++l) dy[l] = y[l] > 0 ? dy[l] : alpha * dy[l];
      y += kLanes;
    }
    for (int l = 0; l < kLanes; ++l) total[l] += dy[l];
  }
  for (int l = 0; l < kLanes; ++l) sums[l] = total[l];
}

void relu_gradient(const float* y, const float* dy, float* dx, std::int64_t count, float alpha, bool add) {
  if (add) {
    for (std::int64_t i = 0; i < count; ++i) dx[i] += y[i] > 0 ? dy[i] : alpha * dy[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) dx[i] = y[i] > 0 ? dy[i] : alpha * dy[i];
  }
}

void deposit_row(const float* from, float* to, std::int64_t count, bool add) {
  if (add) {
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

void scale_rows(const float* x, float* y, std::int64_t pixels, const float* scale, const float* shift, bool relu) {
  const Vec a = Vec::load(scale), b = Vec::load(shift);
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes, y += kLanes) {
    const Vec value = fma(a, Vec::load(x), b);
    (relu ? max(Vec::zero(), value) : value).store(y);
  }
}

void moments(const float* x, std::int64_t pixels, const float* mean, float* sums, float* squares) {
  float s[kLanes], q[kLanes];
  for (int l = 0; l < kLanes; ++l) s[l] = sums[l], q[l] = squares[l];
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float d = x[l] - mean[l];
      s[l] += d;
      q[l] += d * d;
    }
  }
  for (int l = 0; l < kLanes; ++l) sums[l] = s[l], squares[l] = q[l];
}

void products(const float* x, const float* dy, std::int64_t pixels, const float* mean, float* sums, float* result) {
  float s[kLanes], q[kLanes];
  for (int l = 0; l < kLanes; ++l) s[l] = sums[l], q[l] = result[l];
  for (std::int64_t p = 0; p < pixels; ++p, x += kLanes, dy += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      s[l] += dy[l];
      q[l] += dy[l] * (x[l] - mean[l]);
    }
  }
  for (int l = 0; l < kLanes; ++l) sums[l] = s[l], result[l] = q[l];
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
        best = best < other ? other : best;
      }
      y[l] = best;
    }
  }
}

void maxout_gradient(const polyadic::MaxoutArgs& args, bool add) {
  const float* x = args.x;
  const float* dy = args.dy;
  float* dx = args.dx;
  for (std::int64_t p = 0; p < args.pixels; ++p, x += kLanes, dy += kLanes, dx += kLanes) {
    if (args.count == 2) {
      for (int l = 0; l < args.lanes; ++l) {
        const bool second = x[args.pieces[kLanes + l]] > x[args.pieces[l]];
        float* a = dx + args.dx_pieces[l];
        float* b = dx + args.dx_pieces[kLanes + l];
        const float to_a = second ? 0.0f : dy[l], to_b = second ? dy[l] : 0.0f;
        *a = add ? *a + to_a : to_a;
        *b = add ? *b + to_b : to_b;
      }
      continue;
    }
    for (int l = 0; l < args.lanes; ++l) {
      std::int64_t best = 0;
      for (std::int64_t j = 1; j < args.count; ++j)
        best = x[args.pieces[j * kLanes + l]] > x[args.pieces[best * kLanes + l]] ? j : best;
      for (std::int64_t j = 0; !add && j < args.count; ++j) dx[args.dx_pieces[j * kLanes + l]] = 0.0f;
      dx[args.dx_pieces[best * kLanes + l]] += dy[l];
    }
  }
}

void max_pool_gradient(const polyadic::PoolGradientArgs& args) {
  float rest[kLanes], best[kLanes];  // a lane's gradient until its maximum is found, then 0
  for (int l = 0; l < kLanes; ++l) rest[l] = args.dy[l], best[l] = args.y[l];
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.x_row;
    float* dx = args.dx + r * args.dx_row;
    for (std::int64_t c = 0; c < args.columns; ++c, x += args.x_column, dx += args.dx_column) {
      for (int l = 0; l < kLanes; ++l) {
        const float hit = x[l] == best[l] ? rest[l] : 0.0f;
        dx[l] += hit;
        rest[l] = x[l] == best[l] ? 0.0f : rest[l];
      }
    }
  }
}

void average_pool_gradient(const polyadic::PoolGradientArgs& args) {
  float part[kLanes];
  for (int l = 0; l < kLanes; ++l) part[l] = args.dy[l] * args.scale;
  for (std::int64_t r = 0; r < args.rows; ++r) {
    float* dx = args.dx + r * args.dx_row;
    for (std::int64_t c = 0; c < args.columns; ++c, dx += args.dx_column) {
      for (int l = 0; l < kLanes; ++l) dx[l] += part[l];
    }
  }
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
  return {relu_rows,         relu_gradient,         deposit_row, scale_rows, moments,    products,       combine_rows, maxout, maxout_gradient,
          max_pool_gradient, average_pool_gradient, sgd,         adamw,      square_sum, average_values, transpose};
}

}  // namespace

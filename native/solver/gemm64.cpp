#include "gemm64.h"

#include <algorithm>
#include <cstring>

#include "../core/dispatch.h"
#include "../core/parallel.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kDepth = 256;        // k of a packed block: a panel of B stays in L1
constexpr std::int64_t kRows = 96;          // rows of a packed block of A, about: it stays in L2
constexpr std::int64_t kSplitDepth = 2048;  // k of a split, where m and n are too small to give work to all threads
constexpr std::int64_t kMaxSplits = 16;
constexpr std::int64_t kMaxTile = 512;        // elements of the largest tile of any table
constexpr std::int64_t kSmallCopy = 1 << 16;  // elements below which copying is not worth a parallel loop
constexpr std::int64_t kSmall = 1 << 21;      // multiply-adds below which threads cost more than they give

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// dst: panels of `width` lines, each depth×width, short panels filled up with zeros.
// Line l of the source is src[l·line], its elements `step` apart.
void pack(const double* src, std::int64_t line, std::int64_t step, std::int64_t lines, std::int64_t depth,
          std::int64_t width, double alpha, double* dst) {
  for (std::int64_t begin = 0; begin < lines; begin += width, dst += width * depth) {
    const std::int64_t used = std::min(width, lines - begin);
    const double* from = src + begin * line;
    if (used < width) std::memset(dst, 0, static_cast<std::size_t>(width * depth) * sizeof(double));
    if (line == 1) {
      for (std::int64_t d = 0; d < depth; ++d) {
        for (std::int64_t l = 0; l < used; ++l) dst[d * width + l] = alpha * from[d * step + l];
      }
    } else {
      for (std::int64_t l = 0; l < used; ++l) {
        for (std::int64_t d = 0; d < depth; ++d) dst[d * width + l] = alpha * from[l * line + d * step];
      }
    }
  }
}

// C[rows×columns] += packed A · packed B, tile by tile.
void multiply_block(const DoubleKernels& kernel, std::int64_t rows, std::int64_t columns, std::int64_t depth,
                    const double* a, const double* b, double* c, std::int64_t ldc) {
  double edge[kMaxTile];
  for (std::int64_t j = 0; j < columns; j += kernel.nr) {
    const std::int64_t width = std::min<std::int64_t>(kernel.nr, columns - j);
    for (std::int64_t i = 0; i < rows; i += kernel.mr) {
      const std::int64_t height = std::min<std::int64_t>(kernel.mr, rows - i);
      const double* a_panel = a + i * depth;
      const double* b_panel = b + j * depth;
      double* tile = c + i * ldc + j;
      if (height == kernel.mr && width == kernel.nr) {
        kernel.gemm_tile(depth, a_panel, b_panel, tile, ldc);
        continue;
      }
      std::fill(edge, edge + kernel.mr * kernel.nr, 0.0);
      kernel.gemm_tile(depth, a_panel, b_panel, edge, kernel.nr);
      for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) tile[y * ldc + x] += edge[y * kernel.nr + x];
      }
    }
  }
}

void clear(std::int64_t m, std::int64_t n, double* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) std::fill(c + i * ldc, c + i * ldc + n, 0.0);
}

double dot_strided(const double* x, std::int64_t step_x, const double* y, std::int64_t length) {
  double sum[8] = {};
  std::int64_t i = 0;
  if (step_x == 1) {
    for (; i + 8 <= length; i += 8) {
      for (int lane = 0; lane < 8; ++lane) sum[lane] += x[i + lane] * y[i + lane];
    }
  }
  for (; i < length; ++i) sum[0] += x[i * step_x] * y[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace

double* Gemm::aligned(std::vector<double>& buffer, std::int64_t length) {
  const auto wanted = static_cast<std::size_t>(length) + 8;
  if (buffer.size() < wanted) buffer.resize(wanted);
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  return buffer.data() + ((64 - address % 64) % 64) / sizeof(double);
}

void Gemm::multiply(std::int64_t m, std::int64_t n, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                    bool accumulate, double alpha) {
  if (m == 0 || n == 0) return;
  if (n == 1) {
    if (!accumulate) clear(m, n, c, ldc);
    return vector_product(m, k, a, b, c, ldc, alpha);
  }
  pack_right(n, k, b, packed_b_);
  multiply(m, a, packed_b_, c, ldc, accumulate, alpha);
}

void Gemm::pack_right(std::int64_t n, std::int64_t k, Strided b, PackedRight& dst) {
  const std::int64_t panel = kernels().f64.nr;
  const std::int64_t wide = divide_up(n, panel) * panel;
  dst.n = n;
  dst.k = k;
  double* data = dst.data = aligned(dst.buffer, wide * k);
  const int threads = n * k < kSmallCopy ? 1 : threads_;
  parallel_for(threads, divide_up(k, kDepth), [&](std::int64_t step, int) {
    const std::int64_t begin = step * kDepth;
    pack(b.data + begin * b.row, b.column, b.row, n, std::min(kDepth, k - begin), panel, 1.0, data + begin * wide);
  });
}

void Gemm::multiply(std::int64_t m, Strided a, const PackedRight& b, double* c, std::int64_t ldc, bool accumulate,
                    double alpha) {
  const std::int64_t n = b.n, k = b.k;
  const double* packed_b = b.data;
  if (!accumulate) clear(m, n, c, ldc);
  if (m == 0 || n == 0 || k == 0) return;
  const DoubleKernels& kernel = kernels().f64;
  const std::int64_t block = std::max<std::int64_t>(1, kRows / kernel.mr) * kernel.mr;
  const std::int64_t blocks = divide_up(m, block);
  const std::int64_t steps = divide_up(k, kDepth);
  const std::int64_t wide = divide_up(n, kernel.nr) * kernel.nr;
  const std::int64_t splits = blocks >= 8 ? 1 : std::clamp<std::int64_t>(k / kSplitDepth, 1, kMaxSplits);
  const int threads = m * n * k < kSmall ? 1 : threads_;

  const std::int64_t room = block * std::min(kDepth, k);
  double* packed_a = aligned(packed_a_, room * threads);
  double* partial = splits > 1 ? aligned(partial_, (splits - 1) * m * n) : nullptr;
  if (partial) std::fill(partial, partial + (splits - 1) * m * n, 0.0);
  parallel_for(threads, blocks * splits, [&](std::int64_t task, int thread) {
    const std::int64_t split = task / blocks;
    const std::int64_t first = (task % blocks) * block;
    const std::int64_t rows = std::min(block, m - first);
    double* target = split == 0 ? c + first * ldc : partial + (split - 1) * m * n + first * n;
    const std::int64_t stride = split == 0 ? ldc : n;
    double* own = packed_a + thread * room;
    for (std::int64_t step = split * steps / splits; step < (split + 1) * steps / splits; ++step) {
      const std::int64_t begin = step * kDepth;
      const std::int64_t depth = std::min(kDepth, k - begin);
      pack(a.data + first * a.row + begin * a.column, a.row, a.column, rows, depth, kernel.mr, alpha, own);
      multiply_block(kernel, rows, n, depth, own, packed_b + begin * wide, target, stride);
    }
  });
  for (std::int64_t split = 1; split < splits; ++split) {
    const double* from = partial + (split - 1) * m * n;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) c[i * ldc + j] += from[i * n + j];
    }
  }
}

// n = 1 is bound by memory: A is read once, as it lies.
void Gemm::vector_product(std::int64_t m, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                          double alpha) {
  constexpr std::int64_t kBlock = 64;
  const int threads = m * k < kSmall ? 1 : threads_;
  double* x = aligned(vector_, k);
  for (std::int64_t i = 0; i < k; ++i) x[i] = alpha * b.data[i * b.row];
  if (a.row != 1 || a.column == 1) {
    parallel_for(threads, divide_up(m, kBlock), [&](std::int64_t task, int) {
      for (std::int64_t i = task * kBlock; i < std::min(m, (task + 1) * kBlock); ++i) {
        c[i * ldc] += dot_strided(a.data + i * a.row, a.column, x, k);
      }
    });
    return;
  }
  // The columns of A are contiguous: add them up, a stretch of rows a task.
  constexpr std::int64_t kStretch = 512;
  parallel_for(threads, divide_up(m, kStretch), [&](std::int64_t task, int) {
    double sum[kStretch] = {};
    const std::int64_t first = task * kStretch;
    const std::int64_t rows = std::min(kStretch, m - first);
    for (std::int64_t j = 0; j < k; ++j) {
      const double* column = a.data + first + j * a.column;
      for (std::int64_t i = 0; i < rows; ++i) sum[i] += column[i] * x[j];
    }
    for (std::int64_t i = 0; i < rows; ++i) c[(first + i) * ldc] += sum[i];
  });
}

}  // namespace polyadic::solver

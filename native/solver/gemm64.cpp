#include "gemm64.h"

#include <algorithm>
#include <cstring>

#include "../core/dispatch.h"
#include "../core/parallel.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kDepth = 384;        // k of a packed block: a panel of B stays in L1
constexpr std::int64_t kRows = 48;          // rows of a packed block of A, about: it stays in L2
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
    if (line == 1 && used == width && alpha == 1.0) {
      for (std::int64_t d = 0; d < depth; ++d) {
        std::memcpy(dst + d * width, from + d * step, static_cast<std::size_t>(width) * sizeof(double));
      }
    } else if (line == 1) {
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

// C[rows×columns] = A·packed B, or += with add, tile by tile: tile(i, b, c, ldc, add) takes the mr rows of A from row i
// on, rows that are missing filled up, times a panel of B.
template <class Tile>
void multiply_tiles(const DoubleKernels& kernel, std::int64_t rows, std::int64_t columns, std::int64_t depth,
                    const double* b, double* c, std::int64_t ldc, bool add, const Tile& do_tile) {
  double edge[kMaxTile];
  for (std::int64_t j = 0; j < columns; j += kernel.nr) {
    const std::int64_t width = std::min<std::int64_t>(kernel.nr, columns - j);
    for (std::int64_t i = 0; i < rows; i += kernel.mr) {
      const std::int64_t height = std::min<std::int64_t>(kernel.mr, rows - i);
      const double* b_panel = b + j * depth;
      double* tile = c + i * ldc + j;
      if (height == kernel.mr && width == kernel.nr) {
        do_tile(i, b_panel, tile, ldc, add);
        continue;
      }
      do_tile(i, b_panel, edge, static_cast<std::int64_t>(kernel.nr), false);
      for (std::int64_t y = 0; y < height; ++y) {
        for (std::int64_t x = 0; x < width; ++x) {
          double& entry = tile[y * ldc + x];
          entry = edge[y * kernel.nr + x] + (add ? entry : 0.0);
        }
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

// parallel_for of tasks of a few milliseconds at most, which are left out once the job is cancelled.
template <class Task>
void Gemm::run(int threads, std::int64_t count, const Task& task) const {
  parallel_for(threads, count, [&](std::int64_t index, int thread) {
    if (!control_->cancelled()) task(index, thread);
  });
  control_->check();
}

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
  run(threads, divide_up(k, kDepth), [&](std::int64_t step, int) {
    const std::int64_t begin = step * kDepth;
    pack(b.data + begin * b.row, b.column, b.row, n, std::min(kDepth, k - begin), panel, 1.0, data + begin * wide);
  });
}

// Runs task(first row, begin and end in k, C, its leading dimension, whether to add to C, thread) over blocks of rows
// and, where they are few, over splits of k, which are summed in order. The shape alone decides, so the bits do not
// depend on threads.
template <class Task>
void Gemm::split_depth(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t block, double* c, std::int64_t ldc,
                       bool add, const Task& task) {
  const std::int64_t blocks = divide_up(m, block);
  const std::int64_t steps = divide_up(k, kDepth);
  const std::int64_t splits = blocks >= 8 ? 1 : std::clamp<std::int64_t>(k / kSplitDepth, 1, kMaxSplits);
  const int threads = m * n * k < kSmall ? 1 : threads_;
  double* partial = splits > 1 ? aligned(partial_, (splits - 1) * m * n) : nullptr;
  run(threads, blocks * splits, [&](std::int64_t index, int thread) {
    const std::int64_t split = index / blocks;
    const std::int64_t first = (index % blocks) * block;
    double* target = split == 0 ? c : partial + (split - 1) * m * n;
    task(first, split * steps / splits * kDepth, std::min(k, (split + 1) * steps / splits * kDepth), target,
         split == 0 ? ldc : n, split == 0 && add, thread);
  });
  for (std::int64_t split = 1; split < splits; ++split) {
    const double* from = partial + (split - 1) * m * n;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) c[i * ldc + j] += from[i * n + j];
    }
  }
}

void Gemm::multiply(std::int64_t m, Strided a, const PackedRight& b, double* c, std::int64_t ldc, bool accumulate,
                    double alpha) {
  const std::int64_t n = b.n, k = b.k;
  const double* packed_b = b.data;
  if (k == 0 && !accumulate) clear(m, n, c, ldc);
  if (m == 0 || n == 0 || k == 0) return;
  const DoubleKernels& kernel = kernels().f64;
  const std::int64_t block = std::max<std::int64_t>(1, kRows / kernel.mr) * kernel.mr;
  const std::int64_t wide = divide_up(n, kernel.nr) * kernel.nr;
  const std::int64_t room = block * std::min(kDepth, k);
  double* packed_a = aligned(packed_a_, room * threads_);
  // A that is row-major already is read as it lies, but for a last tile with rows missing.
  const bool direct = a.column == 1 && alpha == 1.0;
  const auto task = [&](std::int64_t first, std::int64_t begin, std::int64_t end, double* target, std::int64_t stride,
                        bool add, int thread) {
    const std::int64_t rows = std::min(block, m - first);
    const std::int64_t whole = direct ? rows / kernel.mr * kernel.mr : 0;
    double* own = packed_a + thread * room;
    for (; begin < end; begin += kDepth) {
      const std::int64_t depth = std::min(kDepth, k - begin);
      const double* from = a.data + first * a.row + begin * a.column;
      if (whole < rows) pack(from + whole * a.row, a.row, a.column, rows - whole, depth, kernel.mr, alpha, own);
      const auto tile = [&](std::int64_t i, const double* panel, double* dst, std::int64_t ld, bool add_tile) {
        if (i < whole) {
          kernel.gemm_rows(depth, from + i * a.row, a.row, panel, dst, ld, add_tile);
        } else {
          kernel.gemm_tile(depth, own + (i - whole) * depth, panel, dst, ld, add_tile);
        }
      };
      multiply_tiles(kernel, rows, n, depth, packed_b + begin * wide, target + first * stride, stride, add, tile);
      add = true;
    }
  };
  split_depth(m, n, k, block, c, ldc, accumulate, task);
}

// Panels begin in different sets of the caches: the squares of one tile of T·B lie a hop apart.
PanelMatrix::PanelMatrix(const double* data, std::int64_t rows, std::int64_t columns, double scale, int threads)
    : rows_(rows), columns_(columns), width_(kernels().f64.mr), hop_(divide_up(rows * width_, 512) * 512 + 40) {
  buffer_.resize(static_cast<std::size_t>(panels() * hop_));
  parallel_for(rows * columns < kSmallCopy ? 1 : threads, panels(), [&](std::int64_t p, int) {
    const std::int64_t begin = p * width_;
    pack(data + begin, 1, columns, std::min(width_, columns - begin), rows, width_, scale, panel(p));
  });
}

// Rows [0, real) of b packed as pack_right does, in steps of `depth`, and zeros up to row k.
void Gemm::pack_products(std::int64_t n, std::int64_t k, std::int64_t real, std::int64_t depth, const RowProducts& b) {
  const std::int64_t panel = kernels().f64.nr, wide = divide_up(n, panel) * panel;
  double* packed = packed_b_.data = aligned(packed_b_.buffer, wide * k);
  run(n * k < kSmallCopy ? 1 : threads_, divide_up(k, depth), [&](std::int64_t step, int) {
    const std::int64_t begin = step * depth, there = std::min(depth, k - begin);
    for (std::int64_t j = 0; j < n; j += panel) {
      const std::int64_t used = std::min(panel, n - j);
      double* dst = packed + begin * wide + j * there;
      for (std::int64_t d = 0; d < there; ++d, dst += panel) {
        const std::int64_t row = begin + d;
        const double* in = b.inner + row % b.inner_rows * n + j;
        const double* out = b.outer + row / b.inner_rows * n + j;
        std::int64_t q = row < real ? used : 0;
        if (q == panel && b.outer) {
          for (std::int64_t l = 0; l < panel; ++l) dst[l] = in[l] * out[l];
        } else {
          for (std::int64_t l = 0; l < q; ++l) dst[l] = b.outer ? in[l] * out[l] : in[l];
        }
        for (; q < panel; ++q) dst[q] = 0;
      }
    }
  });
}

void Gemm::multiply(const PanelMatrix& t, std::int64_t n, const RowProducts& b, double* c) {
  if (n == 0) return;
  const DoubleKernels& kernel = kernels().f64;
  const std::int64_t m = t.rows(), mr = kernel.mr;
  // The columns of zeros that fill up the last panel meet rows of zeros.
  const std::int64_t k = t.panels() * mr, depth = kDepth / mr * mr;
  const std::int64_t wide = divide_up(n, kernel.nr) * kernel.nr;
  pack_products(n, k, t.columns(), depth, b);
  const double* packed = packed_b_.data;
  const int threads = m * n * k < kSmall ? 1 : threads_;
  const std::int64_t block = std::max<std::int64_t>(1, kRows / mr) * mr;
  run(threads, divide_up(m, block), [&](std::int64_t task, int) {
    const std::int64_t first = task * block, rows = std::min(block, m - first);
    for (std::int64_t begin = 0; begin < k; begin += depth) {
      const std::int64_t there = std::min(depth, k - begin);
      double last[kMaxTile];
      const auto tile = [&](std::int64_t i, const double* panel_b, double* dst, std::int64_t ld, bool add) {
        const double* a = t.panel(begin / mr) + (first + i) * mr;
        if (rows - i >= mr) {
          kernel.gemm_strips(there / mr, a, t.hop(), panel_b, dst, ld, add);
          return;
        }
        // Rows are missing, and beyond them lies something else: one square at a time, filled up with zeros.
        for (std::int64_t s = 0; s < there / mr; ++s, add = true) {
          std::fill(last, last + mr * mr, 0.0);
          std::copy_n(a + s * t.hop(), (rows - i) * mr, last);
          kernel.gemm_strips(1, last, 0, panel_b + s * mr * kernel.nr, dst, ld, add);
        }
      };
      multiply_tiles(kernel, rows, n, there, packed + begin * wide, c + first * n, n, begin > 0, tile);
    }
  });
}

void Gemm::multiply_transposed(const PanelMatrix& t, std::int64_t n, const RowProducts& b, double* c) {
  if (n == 0) return;
  const DoubleKernels& kernel = kernels().f64;
  const std::int64_t m = t.columns(), k = t.rows(), mr = kernel.mr;
  pack_products(n, k, k, kDepth, b);
  const double* packed = packed_b_.data;
  const std::int64_t wide = divide_up(n, kernel.nr) * kernel.nr;
  const std::int64_t block = std::max<std::int64_t>(1, kRows / mr) * mr;
  const auto task = [&](std::int64_t first, std::int64_t begin, std::int64_t end, double* dst, std::int64_t, bool add,
                        int) {
    const std::int64_t rows = std::min(block, m - first);
    for (; begin < end; begin += kDepth, add = true) {
      const std::int64_t depth = std::min(kDepth, k - begin);
      const auto tile = [&](std::int64_t i, const double* panel_b, double* out, std::int64_t ld, bool add_tile) {
        kernel.gemm_tile(depth, t.panel((first + i) / mr) + begin * mr, panel_b, out, ld, add_tile);
      };
      multiply_tiles(kernel, rows, n, depth, packed + begin * wide, dst + first * n, n, add, tile);
    }
  };
  split_depth(m, n, k, block, c, n, false, task);
}

// n = 1 is bound by memory: A is read once, as it lies.
void Gemm::vector_product(std::int64_t m, std::int64_t k, Strided a, Strided b, double* c, std::int64_t ldc,
                          double alpha) {
  constexpr std::int64_t kBlock = 64;
  const int threads = m * k < kSmall ? 1 : threads_;
  double* x = aligned(vector_, k);
  for (std::int64_t i = 0; i < k; ++i) x[i] = alpha * b.data[i * b.row];
  if (a.row != 1 || a.column == 1) {
    run(threads, divide_up(m, kBlock), [&](std::int64_t task, int) {
      for (std::int64_t i = task * kBlock; i < std::min(m, (task + 1) * kBlock); ++i) {
        c[i * ldc] += dot_strided(a.data + i * a.row, a.column, x, k);
      }
    });
    return;
  }
  // The columns of A are contiguous: add them up, a stretch of rows a task.
  constexpr std::int64_t kStretch = 512;
  run(threads, divide_up(m, kStretch), [&](std::int64_t task, int) {
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

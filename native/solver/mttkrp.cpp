#include "mttkrp.h"

#include <algorithm>

#include "../core/parallel.h"

namespace polyadic::solver {
namespace {

constexpr std::int64_t kTaskSize = 1 << 14;  // elements a task of a parallel loop should have at least

int useful_threads(int threads, std::int64_t elements) { return elements < 4 * kTaskSize ? 1 : threads; }

// dst[o, r] = Σ_i src[o, i, r]·a[i, r]
void contract_last(int threads, std::int64_t outer, std::int64_t dim, std::int64_t rank, const double* src,
                   const double* a, double* dst) {
  const std::int64_t step = std::max<std::int64_t>(1, kTaskSize / (dim * rank));
  parallel_for(useful_threads(threads, outer * dim * rank), (outer + step - 1) / step, [&](std::int64_t task, int) {
    for (std::int64_t o = task * step; o < std::min(outer, (task + 1) * step); ++o) {
      double* out = dst + o * rank;
      std::fill(out, out + rank, 0.0);
      for (std::int64_t i = 0; i < dim; ++i) {
        const double* in = src + (o * dim + i) * rank;
        const double* row = a + i * rank;
        for (std::int64_t r = 0; r < rank; ++r) out[r] += in[r] * row[r];
      }
    }
  });
}

// dst[j, r] = Σ_i src[i, j, r]·a[i, r]
void contract_first(int threads, std::int64_t dim, std::int64_t inner, std::int64_t rank, const double* src,
                    const double* a, double* dst) {
  const std::int64_t step = std::max<std::int64_t>(1, kTaskSize / (dim * rank));
  parallel_for(useful_threads(threads, inner * dim * rank), (inner + step - 1) / step, [&](std::int64_t task, int) {
    const std::int64_t begin = task * step;
    const std::int64_t count = std::min(inner, begin + step) - begin;
    double* out = dst + begin * rank;
    std::fill(out, out + count * rank, 0.0);
    for (std::int64_t i = 0; i < dim; ++i) {
      const double* in = src + (i * inner + begin) * rank;
      const double* row = a + i * rank;
      for (std::int64_t j = 0; j < count; ++j) {
        for (std::int64_t r = 0; r < rank; ++r) out[j * rank + r] += in[j * rank + r] * row[r];
      }
    }
  });
}

}  // namespace

Mttkrp::Mttkrp(const std::vector<std::int64_t>& dims, std::int64_t rank, Split split)
    : dims_(dims), rank_(rank), split_(split) {
  left_.resize(static_cast<std::size_t>(split_.left * rank));
  right_.resize(static_cast<std::size_t>(split_.right * rank));
}

// dst[(i_begin, …, i_{end−1}), r] = Π A_k[i_k, r], the last index fastest, grown by one mode at a time.
void Mttkrp::khatri_rao(int threads, const Factors& factors, std::size_t begin, std::size_t end,
                        std::vector<double>& dst) {
  const std::int64_t rank = rank_;
  std::int64_t all = rank;
  for (std::size_t n = begin; n < end; ++n) all *= dims_[n];
  if (dst.size() < static_cast<std::size_t>(all)) dst.resize(static_cast<std::size_t>(all));
  const double* last = factors.mode(end - 1);
  std::copy_n(last, dims_[end - 1] * rank, dst.begin());
  std::int64_t rows = dims_[end - 1];
  for (std::size_t n = end - 1; n-- > begin;) {
    const double* a = factors.mode(n);
    double* out = dst.data();
    // From the last block to the first: block 0 is the source and is overwritten last.
    const std::int64_t others = dims_[n] - 1;
    parallel_for(useful_threads(threads, others * rows * rank), others, [&](std::int64_t task, int) {
      const std::int64_t i = task + 1;
      for (std::int64_t j = 0; j < rows; ++j) {
        for (std::int64_t r = 0; r < rank; ++r) out[(i * rows + j) * rank + r] = a[i * rank + r] * out[j * rank + r];
      }
    });
    for (std::int64_t j = 0; j < rows; ++j) {
      for (std::int64_t r = 0; r < rank; ++r) out[j * rank + r] *= a[r];
    }
    rows *= dims_[n];
  }
}

// KR of modes [begin, end) with its last factor still to be multiplied in.
RowProducts Mttkrp::products(int threads, const Factors& factors, std::size_t begin, std::size_t end,
                             std::vector<double>& dst) {
  const double* last = factors.mode(end - 1);
  if (end - begin == 1) return {nullptr, last, dims_[end - 1]};
  if (end - begin == 2) return {factors.mode(begin), last, dims_[end - 1]};
  khatri_rao(threads, factors, begin, end - 1, dst);
  return {dst.data(), last, dims_[end - 1]};
}

PanelMatrix Mttkrp::panels(Gemm& gemm, const double* tensor, double scale) const {
  return PanelMatrix(tensor, split_.left, split_.right, scale, gemm.threads());
}

void Mttkrp::prepare_left(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors) {
  gemm.multiply(tensor, rank_, products(gemm.threads(), factors, split_.split, dims_.size(), kr_right_), left_.data());
}

void Mttkrp::prepare_right(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors) {
  gemm.multiply_transposed(tensor, rank_, products(gemm.threads(), factors, 0, split_.split, kr_left_), right_.data());
}

void Mttkrp::prepare_left(Gemm& gemm, const double* tensor, const Factors& factors) {
  khatri_rao(gemm.threads(), factors, split_.split, dims_.size(), kr_right_);
  gemm.multiply(split_.left, rank_, split_.right, row_major(tensor, split_.right), row_major(kr_right_.data(), rank_),
                left_.data(), rank_);
}

void Mttkrp::prepare_right(Gemm& gemm, const double* tensor, const Factors& factors) {
  khatri_rao(gemm.threads(), factors, 0, split_.split, kr_left_);
  gemm.multiply(split_.right, rank_, split_.left, row_major(tensor, split_.right).transposed(),
                row_major(kr_left_.data(), rank_), right_.data(), rank_);
}

void Mttkrp::contract(Gemm& gemm, std::size_t n, const Factors& factors, double* dst) {
  const bool is_left = n < split_.split;
  const std::size_t begin = is_left ? 0 : split_.split;
  const std::size_t end = is_left ? split_.split : dims_.size();
  const double* current = is_left ? left_.data() : right_.data();
  std::int64_t size = is_left ? split_.left : split_.right;
  int turn = 0;
  const auto target = [&](std::int64_t rows, bool last) {
    if (last) return dst;
    std::vector<double>& work = work_[turn];
    turn ^= 1;
    if (work.size() < static_cast<std::size_t>(rows * rank_)) work.resize(static_cast<std::size_t>(rows * rank_));
    return work.data();
  };
  for (std::size_t k = end - 1; k > n; --k) {
    size /= dims_[k];
    double* out = target(size, n == begin && k == n + 1);
    contract_last(gemm.threads(), size, dims_[k], rank_, current, factors.mode(k), out);
    current = out;
  }
  for (std::size_t k = begin; k < n; ++k) {
    size /= dims_[k];
    double* out = target(size, k + 1 == n);
    contract_first(gemm.threads(), dims_[k], size, rank_, current, factors.mode(k), out);
    current = out;
  }
  if (end - begin == 1) std::copy_n(current, dims_[n] * rank_, dst);
}

void Mttkrp::subtract_model(Gemm& gemm, const Factors& factors, double* tensor) {
  khatri_rao(gemm.threads(), factors, 0, split_.split, kr_left_);
  khatri_rao(gemm.threads(), factors, split_.split, dims_.size(), kr_right_);
  gemm.multiply(split_.left, split_.right, rank_, row_major(kr_left_.data(), rank_),
                row_major(kr_right_.data(), rank_).transposed(), tensor, split_.right, true, -1.0);
}

double Mttkrp::residual(Gemm& gemm, const PanelMatrix& tensor, const Factors& factors, PanelMatrix* dst) {
  constexpr std::int64_t kBlockSize = 1 << 17;  // elements of M at a time
  khatri_rao(gemm.threads(), factors, 0, split_.split, kr_left_);
  khatri_rao(gemm.threads(), factors, split_.split, dims_.size(), kr_right_);
  const std::int64_t left = split_.left, right = split_.right, width = tensor.width();
  const std::int64_t rows = std::clamp<std::int64_t>(kBlockSize / right, 1, left);
  PackedRight packed;
  gemm.pack_right(right, rank_, row_major(kr_right_.data(), rank_).transposed(), packed);
  block_.resize(static_cast<std::size_t>(rows * right));
  double sum = 0;
  std::vector<double> of_panel(static_cast<std::size_t>(tensor.panels()));
  for (std::int64_t first = 0; first < left; first += rows) {
    const std::int64_t count = std::min(rows, left - first);
    gemm.multiply(count, row_major(kr_left_.data() + first * rank_, rank_), packed, block_.data(), right);
    parallel_for(useful_threads(gemm.threads(), count * right), tensor.panels(), [&](std::int64_t p, int) {
      const std::int64_t begin = p * width, used = std::min(width, right - begin);
      double norm = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const double* t = tensor.panel(p) + (first + i) * width;
        const double* m = block_.data() + i * right + begin;
        double* out = dst ? dst->panel(p) + (first + i) * width : nullptr;
        for (std::int64_t q = 0; q < used; ++q) {
          const double difference = t[q] - m[q];
          norm += difference * difference;
          if (out) out[q] = difference;
        }
      }
      of_panel[static_cast<std::size_t>(p)] = norm;
    });
    for (const double norm : of_panel) sum += norm;
  }
  return sum;
}

void Mttkrp::rescale_left(const std::vector<double>& scale) {
  std::vector<double> column(static_cast<std::size_t>(rank_), 1.0);
  for (std::size_t n = split_.split; n < dims_.size(); ++n) {
    for (std::int64_t r = 0; r < rank_; ++r) column[r] *= scale[static_cast<std::int64_t>(n) * rank_ + r];
  }
  for (std::int64_t i = 0; i < split_.left; ++i) {
    for (std::int64_t r = 0; r < rank_; ++r) left_[i * rank_ + r] *= column[r];
  }
}

}  // namespace polyadic::solver

#include "packed_matrix.h"

#include <algorithm>
#include <limits>

#include "../../core/status.h"

namespace polyadic {
namespace {

constexpr std::int64_t kInner =
    256;  // rows of B multiplied in one pass: a panel of them stays in the first-level cache
constexpr int kMaxWidth = kMaxBlocks * 16;

}  // namespace

PackedMatrix::PackedMatrix(std::int64_t inner, std::int64_t columns)
    : table_(&kernels()), inner_(inner), columns_(columns) {
  width_ = static_cast<std::int64_t>(table_->f32.blocks) * table_->f32.block;
  panels_ = (columns + width_ - 1) / width_;
  packed_ = Buffer(static_cast<std::size_t>(inner * panels_ * width_));
}

int PackedMatrix::blocks_of(std::int64_t panel) const {
  const std::int64_t left = std::min(width_, columns_ - first_column(panel));
  return static_cast<int>((left + table_->f32.block - 1) / table_->f32.block);
}

void PackedMatrix::pack(std::int64_t panel, const float* b, std::int64_t row, std::int64_t column) {
  const std::int64_t first = first_column(panel), valid = std::min(width_, columns_ - first);
  const std::int64_t lanes = static_cast<std::int64_t>(blocks_of(panel)) * table_->f32.block;
  float* to = packed_.data() + inner_ * first;
  for (std::int64_t k = 0; k < inner_; ++k, to += lanes) {
    const float* from = b + k * row + first * column;
    for (std::int64_t j = 0; j < valid; ++j) to[j] = from[j * column];
    std::fill(to + valid, to + lanes, 0.0f);
  }
}

void PackedMatrix::multiply(std::int64_t panel, const float* a, std::int64_t a_row, std::int64_t a_column,
                            std::int64_t m, float* c, std::int64_t c_row, bool accumulate) const {
  const FloatKernels& f32 = table_->f32;
  const int blocks = blocks_of(panel), width = f32.pixels[blocks - 1];
  const std::int64_t lanes = static_cast<std::int64_t>(blocks) * f32.block;
  const std::int64_t valid = std::min(lanes, columns_ - first_column(panel));
  if (a_column * std::min(inner_, kInner) > std::numeric_limits<std::int32_t>::max())
    throw Error(ErrorCode::unsupported, "matmul: a matrix of more than 2^31 floats");
  const float* src[kRows];
  float* dst[kRows];
  float tail[kRows * kMaxWidth];  // rows whose last block C does not have
  c += first_column(panel);
  for (std::int64_t i = 0; i < m; ++i) {
    src[i] = a + i * a_row;
    dst[i] = valid == lanes ? c + i * c_row : tail + i * lanes;
    if (valid < lanes && accumulate) std::copy(c + i * c_row, c + i * c_row + valid, dst[i]);
  }
  std::int32_t offsets[kInner];
  for (std::int64_t k = 0; k < std::min(inner_, kInner); ++k) offsets[k] = static_cast<std::int32_t>(k * a_column);
  TileArgs args{};
  args.offsets = offsets;
  args.dst_block = f32.block;
  std::int64_t first = 0;
  do {
    args.k = std::min(kInner, inner_ - first);
    args.weights = packed_.data() + inner_ * first_column(panel) + first * lanes;
    args.src_offset = first * a_column;
    args.flags = accumulate || first > 0 ? kFromDst : 0;
    for (std::int64_t i = 0; i < m; i += width) {
      args.src = src + i;
      args.dst = dst + i;
      f32.conv[blocks - 1][std::min<std::int64_t>(width, m - i) - 1](args);
    }
    first += args.k;
  } while (first < inner_);
  for (std::int64_t i = 0; valid < lanes && i < m; ++i) std::copy(dst[i], dst[i] + valid, c + i * c_row);
}

void PackedMatrix::pack_all(const Context& context, const float* b, std::int64_t row, std::int64_t column) {
  context.parallel(panels_, [&](std::int64_t panel, int) { pack(panel, b, row, column); });
}

void PackedMatrix::multiply_all(const Context& context, const float* a, std::int64_t a_row, std::int64_t a_column,
                                std::int64_t m, float* c, std::int64_t c_row, bool accumulate) const {
  const std::int64_t bands = (m + kRows - 1) / kRows, jobs = panels_ * bands;
  const auto job = [&](std::int64_t index) {
    const std::int64_t first = index % bands * kRows;
    multiply(index / bands, a + first * a_row, a_row, a_column, std::min<std::int64_t>(kRows, m - first),
             c + first * c_row, c_row, accumulate);
  };
  constexpr std::int64_t kShared = 1 << 18;  // multiply-adds from which threads pay
  if (m * inner_ * columns_ < kShared) {
    for (std::int64_t i = 0; i < jobs; ++i) job(i);
  } else {
    context.parallel(jobs, [&](std::int64_t i, int) { job(i); });
  }
}

}  // namespace polyadic

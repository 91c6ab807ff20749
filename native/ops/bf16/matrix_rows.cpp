#include "matrix_rows.h"

#include <algorithm>

namespace polyadic {
namespace {

constexpr std::size_t kPairs = kMatrixDepth / 2;

// The lowest bits, as many as there are elements in pairs.
std::uint32_t mask_of(std::size_t pairs) { return static_cast<std::uint32_t>((std::uint64_t{1} << (2 * pairs)) - 1); }

}  // namespace

Bf16MatrixRows::Bf16MatrixRows(const std::vector<std::int32_t>& pairs, const std::vector<bool>& single) {
  // Pairs from one on that follow each other, up to the end or a single one.
  const auto run = [&](std::size_t begin, std::size_t end) {
    std::size_t count = 1;
    while (begin + count < end && !single[begin + count - 1] &&
           pairs[begin + count] == pairs[begin] + static_cast<std::int32_t>(2 * count))
      ++count;
    return count;
  };
  for (std::size_t i = 0; i < pairs.size();) {
    const std::size_t count = run(i, std::min(pairs.size(), i + kPairs));
    const std::uint32_t write = mask_of(count), read = single[i + count - 1] ? write >> 1 : write;
    pieces_.push_back({pairs[i], static_cast<std::int32_t>(2 * i), read, write});
    i += count;
  }
  const std::size_t steps = (pairs.size() + kPairs - 1) / kPairs, rest = pairs.size() % kPairs;
  if (rest > 0) pieces_.push_back({0, static_cast<std::int32_t>(2 * pairs.size()), 0, mask_of(kPairs - rest)});
  bool side_by_side = rest == 0;
  for (std::size_t s = 0; s < steps; ++s) {
    const std::size_t begin = s * kPairs, end = std::min(pairs.size(), begin + kPairs);
    side_by_side = side_by_side && run(begin, end) == end - begin && !single[end - 1];
    in_place_.push_back(pairs[begin]);
    collected_.push_back(static_cast<std::int32_t>(s * kMatrixDepth));
  }
  if (!side_by_side) in_place_.clear();
  // An odd number of lines from one row to the next: 16 of them fall on different sets of the first-level cache.
  width_ = static_cast<std::int64_t>(steps + (steps % 2 == 0 ? 1 : 0)) * kMatrixDepth;
}

void Bf16MatrixRows::collect(const Bf16MatrixKernels& kernels, const Bf16* const* src, std::int64_t pixels,
                             Bf16* rows) const {
  kernels.collect({src, pixels, pieces_.data(), static_cast<std::int64_t>(pieces_.size()), rows, width_});
}

}  // namespace polyadic

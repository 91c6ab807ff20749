// What products by tile registers read: of each pixel a row of its source's values, in steps of 32 that lie side by
// side. Rows that lie so already, as in blocks of 32 channels, are read where they are. Others are put together once,
// for all channels of the output; which pixels stand in one tile does not matter then: it may hold the ends of several
// rows of an image, and of several images.
#pragma once

#include <cstdint>
#include <vector>

#include "../../kernels/bf16_kernels.h"

namespace polyadic {

class Bf16MatrixRows {
 public:
  // Of pairs of neighbours, at these elements from a pixel; of single ones the second is a zero.
  Bf16MatrixRows(const std::vector<std::int32_t>& pairs, const std::vector<bool>& single);

  std::int64_t steps() const { return static_cast<std::int64_t>(collected_.size()); }
  // Elements of a row that was put together.
  std::int64_t width() const { return width_; }
  // Whether each step's values lie side by side in the source.
  bool lie_side_by_side() const { return !in_place_.empty(); }
  // Where steps begin, from a pixel or from its row.
  const std::int32_t* offsets(bool in_place) const { return (in_place ? in_place_ : collected_).data(); }

  void collect(const Bf16MatrixKernels& kernels, const Bf16* const* src, std::int64_t pixels, Bf16* rows) const;

 private:
  std::vector<Bf16RowPiece> pieces_;
  std::vector<std::int32_t> in_place_, collected_;
  std::int64_t width_ = 0;
};

}  // namespace polyadic

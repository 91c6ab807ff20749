// Depthwise convolution (groups = Cin = Cout) over pixel lists, forward or backward to the data.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/buffer.h"
#include "../core/dispatch.h"
#include "context.h"
#include "gather.h"
#include "geometry.h"

namespace polyadic {

class Depthwise {
 public:
  Depthwise() = default;
  // src and dst must be blocked alike.
  Depthwise(const ConvolutionShape& shape, Gather::Direction direction, const Layout& src, const Layout& dst);

  // Weights [C][1][kH][kW]; forward, a bias [C] or null.
  void pack(const float* weights, const float* bias);
  // Options as Gather's.
  void run(const Context& context, const float* src, float* dst, int options) const;
  // Channel blocks [first, last), the first of them being block src of the source's memory and block dst of the
  // destination's.
  struct Blocks {
    std::int64_t first, last, src, dst;
  };
  // The first `rows` output rows of some images and channel blocks, forward, on the calling thread.
  void run_blocks(const float* src, float* dst, std::int64_t images, std::int64_t rows, const Blocks& blocks,
                  int options) const;
  // The same followed by `next`, row by row through `lines`, two rows of this one's destination. Both must take whole
  // rows, and next reads no row but the one that it writes; the blocks' dst is that of next.
  void run_pair(const Depthwise& next, const float* src, float* lines, float* dst, std::int64_t images,
                std::int64_t rows, const Blocks& blocks, int options) const;
  // Whether whole rows go to the kernel: neighbouring pixels, enough of them for its tile.
  static bool takes_rows(const ConvolutionShape& shape);
  // Adds to grad, [C][1][kH][kW].
  void weight_gradient(const Context& context, const float* src, const float* diff, const Layout& diff_layout,
                       float* grad) const;

  std::size_t weight_bytes() const { return (packed_.size() + bias_.size()) * sizeof(float); }

 private:
  struct Phase {
    GatherPhase gather;
    std::vector<std::int32_t> offsets;
    std::int64_t weights;  // where its weights begin in packed_, [blocks][taps][block]
  };
  void run_band(const Phase& phase, const float* src, float* dst, std::int64_t begin, std::int64_t end,
                const Blocks& blocks, int options) const;
  bool takes_rows() const;
  RowArgs row_args(int options) const;
  void use_block(RowArgs& args, std::int64_t block) const;
  void run_rows(const float* src, float* dst, std::int64_t image, std::int64_t rows, const Blocks& blocks,
                int options) const;

  const KernelTable* table_ = nullptr;
  ConvolutionShape shape_;
  Layout src_, dst_;
  std::vector<Phase> phases_;
  Buffer packed_, bias_;
  bool has_bias_ = false;
};

}  // namespace polyadic

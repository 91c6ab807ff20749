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
  // The first `rows` output rows of some images and channel blocks [block0, block1), forward, on the calling thread.
  void run_blocks(const float* src, float* dst, std::int64_t images, std::int64_t rows, std::int64_t block0,
                  std::int64_t block1, int options) const;
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
                std::int64_t block0, std::int64_t block1, int options) const;
  // Whether whole rows go to the kernel: neighbouring pixels, enough of them for its tile.
  bool takes_rows() const;
  void run_rows(const float* src, float* dst, std::int64_t image, std::int64_t rows, std::int64_t block,
                int options) const;

  const KernelTable* table_ = nullptr;
  ConvolutionShape shape_;
  Layout src_, dst_;
  std::vector<Phase> phases_;
  Buffer packed_, bias_;
  bool has_bias_ = false;
};

}  // namespace polyadic

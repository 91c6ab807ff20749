// A 3×3 convolution of stride and dilation 1 by Winograd's minimal filtering F(m×m, 3×3), Lavin and Gray,
// arXiv:1509.09308: a quarter (m = 4) or a little less than half (m = 2) of the direct way's multiply-adds. Tiles of
// the output go through it in portions whose transformed values stay in the cache; their products are sums over
// channels in a fixed order, so that neither batch nor threads change a bit. Forward only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../core/buffer.h"
#include "../core/dispatch.h"
#include "context.h"
#include "geometry.h"

namespace polyadic {

// What is added to a convolution's sum and done to it before it is stored.
struct WinogradEnd {
  bool relu = false;
  const Layout* residual_layout = nullptr;  // with a residual: of the output's shape and block
  const float* residual = nullptr;
};

class WeightStore;

class Winograd {
 public:
  // Why the shape and layouts do not have this form at all; empty where they do.
  static std::string obstacle(const ConvolutionShape& shape, const Layout& src, const Layout& dst);
  // The m for which least time is expected: 2 or 4; 0 for the direct convolution. By the shape of one image and the
  // kernel table alone: results must depend on nothing else.
  struct Choice {
    int m = 0;
    std::string why;
  };
  static Choice choose(const ConvolutionShape& shape, const Layout& src, const Layout& dst);

  Winograd() = default;
  // m: 2 or 4.
  Winograd(const ConvolutionShape& shape, const Layout& src, const Layout& dst, int m, int threads);

  // Transforms and packs weights [Cout][Cin/groups][3][3]; takes over a bias [Cout] or null.
  void pack(const Context& context, const float* weights, const float* bias);

  // Reads its packed weights from the store from now on: no pack() afterwards. Returns the bytes that saves.
  std::size_t share_weights(WeightStore& store);

  // src and dst point to the start of the values.
  void run(const Context& context, const float* src, float* dst, const WinogradEnd& end) const;

  std::size_t scratch_floats() const;
  std::size_t weight_bytes() const { return (weights().size() + bias_.size()) * sizeof(float); }
  std::string name() const;
  // Why portions of so many tiles.
  const std::string& portion_reason() const { return portion_reason_; }

 private:
  struct Panel {
    std::int64_t first_block;
    int blocks;
    std::int64_t first_channel;  // of the input
    std::int64_t weights;        // where it begins in weights_, [position][input channel of the group][blocks][block]
    std::int64_t outputs;        // where it begins in a portion's outputs
  };
  // Tiles [first, first + count), counted image by image, row by row; values of a portion lie at
  // inputs: [position][channel block][tile][block] and outputs: [panel][position][tile][panel's blocks][block].
  struct Portion {
    std::int64_t first, count;
    float* inputs;
    float* outputs;
  };
  // Neighbouring tiles of one row: the first of them has input and output pixel (y, x) in image n.
  struct Run {
    std::int64_t n, y, x, at, tiles;  // at: tile of the portion
  };

  int positions() const { return (m_ + 2) * (m_ + 2); }
  std::int64_t input_position() const;
  std::int64_t output_position(const Panel& panel) const;
  void choose_portion(int threads);
  template <class F>
  void each_run(const Portion& portion, F&& f) const;
  void transform_inputs(const Portion& portion, const float* src, std::int64_t block) const;
  void multiply(const Portion& portion, const Panel& panel, int position) const;
  void transform_outputs(const Portion& portion, const Panel& panel, int block, float* dst,
                         const WinogradEnd& end) const;

  const KernelTable* table_ = nullptr;
  const WinogradTransforms* transforms_ = nullptr;
  ConvolutionShape shape_;
  Layout src_, dst_;
  int m_ = 0;
  std::int64_t rows_ = 0, columns_ = 0, tiles_ = 0;  // of tiles: in an image, in a row of it, in all images
  std::int64_t portion_ = 0;                         // tiles of a portion
  std::string portion_reason_;
  bool shared_ = false;  // all threads work on one portion; else each on one of its own
  std::vector<Panel> panels_;
  std::int64_t outputs_ = 0;           // floats of a portion's outputs
  std::vector<std::int32_t> offsets_;  // of each input channel from a tile, within a portion's inputs
  const Buffer& weights() const { return shared_weights_ ? *shared_weights_ : weights_; }
  Buffer weights_, bias_;
  std::shared_ptr<const Buffer> shared_weights_;  // in the place of weights_
  bool has_bias_ = false;
};

}  // namespace polyadic

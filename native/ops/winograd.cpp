#include "winograd.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "../core/cpu_features.h"
#include "../plan/weight_store.h"
#include "winograd_weights.h"

namespace polyadic {
namespace {

// Channels of one pass over the tiles: a panel's weights for them stay in the first-level cache.
constexpr std::int64_t kWeightBytes = 16 * 1024;

// What the choice goes by; measured on one core with 512 KiB to 1 MiB of second-level cache.
constexpr double kBytesACycle = 8;      // weights from beyond the second-level cache
constexpr double kTransformCycles = 6;  // a position of a tile's channel block

// Positions a multiple of 1 KiB apart would crowd on few sets of the first-level cache: those get a line more.
std::int64_t apart(std::int64_t floats) { return floats % 256 == 0 ? floats + 16 : floats; }

std::int64_t divided(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

std::string Winograd::obstacle(const ConvolutionShape& shape, const Layout& src, const Layout& dst) {
  const Window& w = shape.window;
  const int block = kernels().f32.block;
  const auto both = [](const std::array<std::int64_t, 2>& extents, std::int64_t wanted) {
    return extents[0] == wanted && extents[1] == wanted;
  };
  if (!both(w.kernel, 3)) return "it is not 3x3";
  if (!both(w.strides, 1)) return "it has strides";
  if (!both(w.dilations, 1)) return "it is dilated";
  if (src.block != block) return "its input lies in planes";
  if (dst.block != block || dst.c != shape.out_channels) return "its output is a maximum over channels";
  if (shape.groups > 1 && shape.out_channels / shape.groups % block != 0)
    return "a group's outputs are no multiple of " + std::to_string(block);
  return {};
}

Winograd::Choice Winograd::choose(const ConvolutionShape& shape, const Layout& src, const Layout& dst) {
  if (const std::string reason = obstacle(shape, src, dst); !reason.empty()) return {0, "no Winograd form: " + reason};
  // Cycles of one image: products at two vectors a cycle, reading the weights, and the transforms.
  const std::int64_t group = shape.in_channels / shape.groups;
  const double lanes = dst.block, per_group = static_cast<double>(group);
  const double blocks = static_cast<double>(dst.blocks());
  const auto cycles = [&](double pixels, double products) {
    const double vectors = products * per_group * blocks;
    return pixels * vectors / 2 + vectors * lanes * sizeof(float) / kBytesACycle;
  };
  const auto thousands = [](double count) { return std::to_string(std::llround(count / 1000)) + "k"; };
  double least = cycles(static_cast<double>(shape.out_h * shape.out_w), 9);
  Choice best;
  std::string modelled = "direct " + thousands(least);
  for (const int m : {2, 4}) {
    const double tiles = static_cast<double>(divided(shape.out_h, m) * divided(shape.out_w, m));
    const double positions = (m + 2) * (m + 2);
    const double transforms = tiles * positions * kTransformCycles * (static_cast<double>(src.blocks()) + blocks);
    const double all = cycles(tiles, positions) + transforms;
    const std::string name = std::to_string(m);
    modelled.append(", F(").append(name).append("x").append(name).append(") ").append(thousands(all));
    if (all >= least) continue;
    least = all;
    best.m = m;
  }
  best.why = "modelled cycles an image: " + modelled;
  return best;
}

Winograd::Winograd(const ConvolutionShape& shape, const Layout& src, const Layout& dst, int m, int threads)
    : table_(&kernels()),
      transforms_(m == 2 ? &table_->winograd.two : &table_->winograd.four),
      shape_(shape),
      src_(src),
      dst_(dst),
      m_(m),
      rows_(divided(shape.out_h, m)),
      columns_(divided(shape.out_w, m)),
      tiles_(src.n * rows_ * columns_) {
  const std::int64_t per_group = shape.in_channels / shape.groups;
  const std::int64_t blocks_per_group = dst.blocks() / shape.groups;
  const std::int64_t parts = divided(blocks_per_group, table_->f32.blocks);
  std::int64_t weights = 0, outputs = 0;
  for (std::int64_t group = 0; group < shape.groups; ++group) {
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = blocks_per_group * part / parts, end = blocks_per_group * (part + 1) / parts;
      const int blocks = static_cast<int>(end - first);
      panels_.push_back({group * blocks_per_group + first, blocks, group * per_group, weights, 0});
      weights += positions() * per_group * blocks * dst.block;
    }
  }
  weights_ = Buffer(static_cast<std::size_t>(weights));
  bias_ = Buffer(static_cast<std::size_t>(dst.blocks() * dst.block));
  choose_portion(threads);
  for (Panel& panel : panels_) {
    panel.outputs = outputs;
    outputs += positions() * output_position(panel);
  }
  outputs_ = outputs;
  for (std::int64_t c = 0; c < src.c; ++c)
    offsets_.push_back(static_cast<std::int32_t>(c / src.block * portion_ * src.block + c % src.block));
}

// Tiles of a portion. Its transformed values are written once and read once or, those of the input, once a panel; the
// weights are read once a portion. Small ones should leave room beside the weights in the second-level cache; large
// ones, for weights that do not fit there, make more of each reading.
void Winograd::choose_portion(int threads) {
  const std::int64_t cache = second_level_cache_bytes();
  const std::int64_t weights = static_cast<std::int64_t>(weights_.size() * sizeof(float));
  const std::int64_t tile =
      positions() * (src_.blocks() + dst_.blocks()) * dst_.block * static_cast<std::int64_t>(sizeof(float));
  const auto fitting = [&](std::int64_t bytes) { return std::max<std::int64_t>(8, std::min(tiles_, bytes / tile)); };
  const std::int64_t beside = cache * 7 / 8 - weights;
  portion_reason_ = in_kib(weights) + " of weights and " + in_kib(tile) + " a tile, L2 has " + in_kib(cache) + ": ";
  if (beside >= 8 * tile) {
    portion_ = fitting(beside);
    portion_reason_ += "as many tiles as fit beside the weights";
  } else {
    const std::int64_t near = fitting(cache * 3 / 4), far = fitting(4 * cache);
    const bool is_near = weights / near < weights / far + 2 * tile;
    portion_ = is_near ? near : far;
    portion_reason_ += is_near ? "the tiles fit, weights are read again for each portion"
                               : "large portions, as reading the weights costs more than the tiles";
  }
  portion_ = std::min(portion_, tiles_);
  std::int64_t portions = divided(tiles_, portion_);
  // Portions for every thread as long as they are not too thin for the weights; else the threads share each portion.
  if (threads > 1) {
    const std::int64_t even = divided(portions, threads) * threads;
    shared_ = tiles_ < even * 8 || (weights > cache && 4 * even > 5 * portions);
    if (!shared_) portions = even;
  }
  portion_ = divided(tiles_, portions);
  // A multiple of the kernels' tiles, where the last portion is the only one that this makes smaller.
  if (portions > 1) portion_ = divided(portion_, 8) * 8;
}

std::int64_t Winograd::input_position() const { return apart(src_.blocks() * portion_ * src_.block); }
std::int64_t Winograd::output_position(const Panel& panel) const { return apart(portion_ * panel.blocks * dst_.block); }

std::size_t Winograd::scratch_floats() const {
  return static_cast<std::size_t>(positions() * input_position() + outputs_);
}

std::string Winograd::name() const {
  const std::string m = std::to_string(m_);
  return "Winograd F(" + m + "x" + m + ", 3x3), portions of " + std::to_string(portion_) + " tiles" +
         (shared_ ? " shared by threads" : "");
}

std::size_t Winograd::share_weights(WeightStore& store) { return store.share(std::move(weights_), shared_weights_); }

void Winograd::pack(const Context& context, const float* weights, const float* bias) {
  const std::int64_t per_group = shape_.in_channels / shape_.groups;
  const int block = dst_.block;
  context.parallel(static_cast<std::int64_t>(panels_.size()), [&](std::int64_t p, int) {
    const Panel& panel = panels_[static_cast<std::size_t>(p)];
    float* to = weights_.data() + panel.weights;
    float transformed[36];
    for (int at = 0; at < panel.blocks * block; ++at) {
      const std::int64_t o = panel.first_block * block + at;
      if (o >= shape_.out_channels) break;  // the block's padding stays zero
      for (std::int64_t c = 0; c < per_group; ++c) {
        transform_weights(m_, weights + (o * per_group + c) * 9, transformed);
        for (int position = 0; position < positions(); ++position)
          to[(position * per_group + c) * panel.blocks * block + at] = transformed[position];
      }
    }
  });
  has_bias_ = bias != nullptr;
  if (bias) std::copy(bias, bias + shape_.out_channels, bias_.data());
}

template <class F>
void Winograd::each_run(const Portion& portion, F&& f) const {
  for (std::int64_t at = 0; at < portion.count;) {
    const std::int64_t tile = portion.first + at, column = tile % columns_;
    const std::int64_t row = tile / columns_ % rows_, n = tile / columns_ / rows_;
    const std::int64_t count = std::min(columns_ - column, portion.count - at);
    f(Run{n, row * m_, column * m_, at, count});
    at += count;
  }
}

// A channel block of all tiles. Tiles that reach beyond the value's halo are copied first, with zeros there.
void Winograd::transform_inputs(const Portion& portion, const float* src, std::int64_t block) const {
  const std::int64_t n = m_ + 2, lanes = src_.block;
  WinogradInputArgs args{};
  args.dst_position = input_position();
  each_run(portion, [&](const Run& run) {
    const std::int64_t y = run.y - shape_.window.pads[0], x = run.x - shape_.window.pads[1];
    const std::int64_t rows = src_.h + src_.halo.bottom - y, columns = src_.w + src_.halo.right - x;  // that there are
    const float* from = src + src_.at(run.n, block) + src_.pixel(y, x);
    float* to = portion.inputs + (block * portion_ + run.at) * lanes;
    std::int64_t whole = rows < n || columns < n ? 0 : std::min(run.tiles, (columns - n) / m_ + 1);
    args.src = from;
    args.src_row = src_.row();
    args.dst = to;
    args.tiles = whole;
    if (whole > 0) transforms_->input(args);
    for (; whole < run.tiles; ++whole) {
      float padded[36 * 16];
      std::memset(padded, 0, sizeof padded);
      const std::int64_t width = std::min(n, columns - whole * m_);
      for (std::int64_t i = 0; i < std::min(n, rows) && width > 0; ++i)
        std::memcpy(padded + i * n * lanes, from + i * src_.row() + whole * m_ * lanes,
                    static_cast<std::size_t>(width * lanes) * sizeof(float));
      args.src = padded;
      args.src_row = n * lanes;
      args.dst = to + whole * lanes;
      args.tiles = 1;
      transforms_->input(args);
    }
  });
}

// One position of a panel's output blocks: [tiles × input channels of the group] · [those × the panel's outputs].
void Winograd::multiply(const Portion& portion, const Panel& panel, int position) const {
  const FloatKernels& f32 = table_->f32;
  const std::int64_t per_group = shape_.in_channels / shape_.groups, width = panel.blocks * dst_.block;
  const std::int64_t chunk =
      std::max<std::int64_t>(16, kWeightBytes / (static_cast<std::int64_t>(sizeof(float)) * width));
  const std::int64_t groups = divided(portion.count, f32.pixels[panel.blocks - 1]);
  const float* inputs = portion.inputs + position * input_position();
  float* outputs = portion.outputs + panel.outputs + position * output_position(panel);
  const float* weights = this->weights().data() + panel.weights + position * per_group * width;
  TileArgs args{};
  for (std::int64_t k = 0; k < per_group; k += chunk) {
    args.k = std::min(chunk, per_group - k);
    args.offsets = offsets_.data() + panel.first_channel + k;
    args.weights = weights + k * width;
    args.flags = kToPartial | (k > 0 ? kFromPartial : 0);
    for (std::int64_t group = 0; group < groups; ++group) {
      const std::int64_t first = portion.count * group / groups, end = portion.count * (group + 1) / groups;
      const float* pixels[kMaxPixels];
      for (std::int64_t t = first; t < end; ++t) pixels[t - first] = inputs + t * src_.block;
      args.src = pixels;
      args.partial = outputs + first * width;
      f32.conv[panel.blocks - 1][end - first - 1](args);
    }
  }
}

// One of a panel's blocks.
void Winograd::transform_outputs(const Portion& portion, const Panel& panel, int block, float* dst,
                                 const WinogradEnd& end) const {
  const std::int64_t b = panel.first_block + block;
  WinogradOutputArgs args{};
  args.src_position = output_position(panel);
  args.src_tile = panel.blocks * dst_.block;
  args.bias = has_bias_ ? bias_.data() + b * dst_.block : nullptr;
  args.dst_row = dst_.row();
  args.relu = end.relu;
  each_run(portion, [&](const Run& run) {
    args.src = portion.outputs + panel.outputs + run.at * args.src_tile + block * dst_.block;
    args.dst = dst + dst_.at(run.n, b) + dst_.pixel(run.y, run.x);
    if (end.residual) {
      const Layout& other = *end.residual_layout;
      args.residual = end.residual + other.at(run.n, b) + other.pixel(run.y, run.x);
      args.residual_row = other.row();
    }
    args.tiles = run.tiles;
    args.rows = std::min<std::int64_t>(m_, shape_.out_h - run.y);
    args.columns = std::min(run.tiles * m_, shape_.out_w - run.x);
    transforms_->output(args);
  });
}

void Winograd::run(const Context& context, const float* src, float* dst, const WinogradEnd& end) const {
  const std::int64_t portions = divided(tiles_, portion_);
  const auto portion_of = [&](std::int64_t index, int thread) {
    float* scratch = context.scratch(thread);
    return Portion{index * portion_, std::min(portion_, tiles_ - index * portion_), scratch,
                   scratch + positions() * input_position()};
  };
  const std::int64_t products = static_cast<std::int64_t>(panels_.size()) * positions();
  const auto multiply_nth = [&](const Portion& portion, std::int64_t i) {
    // Panels change fastest: what all of them read at a position stays in the cache.
    const std::int64_t count = static_cast<std::int64_t>(panels_.size());
    multiply(portion, panels_[static_cast<std::size_t>(i % count)], static_cast<int>(i / count));
  };
  const auto finish_nth = [&](const Portion& portion, std::int64_t i) {
    const Panel& panel = panels_[static_cast<std::size_t>(i)];
    for (int block = 0; block < panel.blocks; ++block) transform_outputs(portion, panel, block, dst, end);
  };
  const std::int64_t panels = static_cast<std::int64_t>(panels_.size());
  if (!shared_) {
    context.parallel(portions, [&](std::int64_t index, int thread) {
      const Portion portion = portion_of(index, thread);
      for (std::int64_t block = 0; block < src_.blocks(); ++block) transform_inputs(portion, src, block);
      for (std::int64_t i = 0; i < products; ++i) multiply_nth(portion, i);
      for (std::int64_t i = 0; i < panels; ++i) finish_nth(portion, i);
    });
    return;
  }
  for (std::int64_t index = 0; index < portions; ++index) {
    const Portion portion = portion_of(index, 0);
    context.parallel(src_.blocks(), [&](std::int64_t block, int) { transform_inputs(portion, src, block); });
    context.parallel(products, [&](std::int64_t i, int) { multiply_nth(portion, i); });
    context.parallel(panels, [&](std::int64_t i, int) { finish_nth(portion, i); });
  }
}

}  // namespace polyadic

#include "depthwise.h"

#include <algorithm>

namespace polyadic {
namespace {

// Backward, taps go against the pixels. In the order of memory, from the first one on, kernels know them as neighbours.
void sort_taps(GatherPhase& gather) {
  std::vector<Tap>& taps = gather.taps;
  if (taps.empty()) return;
  std::sort(taps.begin(), taps.end(),
            [](const Tap& a, const Tap& b) { return a.dy != b.dy ? a.dy < b.dy : a.dx < b.dx; });
  const std::int64_t dy = taps.front().dy, dx = taps.front().dx;
  gather.src.y.first += dy;
  gather.src.x.first += dx;
  for (Tap& tap : taps) {
    tap.dy -= dy;
    tap.dx -= dx;
  }
}

}  // namespace

Depthwise::Depthwise(const ConvolutionShape& shape, Gather::Direction direction, const Layout& src, const Layout& dst)
    : table_(&kernels()), shape_(shape), src_(src), dst_(dst) {
  std::vector<GatherPhase> gathers =
      direction == Gather::Direction::forward ? forward_phases(shape, src.n) : backward_phases(shape, src.n);
  check_offsets(src_);
  std::int64_t count = 0;
  for (GatherPhase& gather : gathers) {
    sort_taps(gather);
    Phase phase{std::move(gather), {}, count};
    for (const Tap& tap : phase.gather.taps)
      phase.offsets.push_back(static_cast<std::int32_t>(src_.pixel(tap.dy, tap.dx)));
    count += dst_.blocks() * static_cast<std::int64_t>(phase.offsets.size()) * dst_.block;
    phases_.push_back(std::move(phase));
  }
  packed_ = Buffer(static_cast<std::size_t>(count));
  bias_ = Buffer(static_cast<std::size_t>(dst_.blocks() * dst_.block));
}

void Depthwise::pack(const float* weights, const float* bias) {
  const int block = dst_.block;
  for (const Phase& phase : phases_) {
    float* to = packed_.data() + phase.weights;
    for (std::int64_t b = 0; b < dst_.blocks(); ++b) {
      for (const Tap& tap : phase.gather.taps) {
        for (std::int64_t c = b * block; c < (b + 1) * block; ++c) {
          *to++ = c < dst_.c ? weights[c * shape_.taps() + tap.index] : 0.0f;
        }
      }
    }
  }
  has_bias_ = bias != nullptr;
  if (has_bias_) std::copy(bias, bias + dst_.c, bias_.data());
}

void Depthwise::run_band(const Phase& phase, const float* src, float* dst, std::int64_t begin, std::int64_t end,
                         const Blocks& blocks, int options) const {
  const FloatKernels& f32 = table_->f32;
  const float* from[kBand];
  float* to[kBand];
  list_pixels(phase.gather.src, src_, src, begin, end, from);
  list_pixels(phase.gather.dst, dst_, dst, begin, end, to);
  TileArgs args{};
  args.offsets = phase.offsets.data();
  args.k = static_cast<std::int64_t>(phase.offsets.size());
  args.flags = (options & Gather::kAccumulate ? kFromDst
                : has_bias_                   ? kFromBias
                                              : 0) |
               (options & Gather::kApplyRelu ? kRelu : 0);
  const int count = static_cast<int>(end - begin);
  for (std::int64_t b = blocks.first; b < blocks.last; ++b) {
    args.src_offset = (b - blocks.first + blocks.src) * src_.plane();
    args.dst_offset = (b - blocks.first + blocks.dst) * dst_.plane();
    args.weights = packed_.data() + phase.weights + b * args.k * dst_.block;
    args.bias = bias_.data() + b * dst_.block;
    for (int p = 0; p < count; p += f32.depthwise_pixels) {
      args.src = from + p;
      args.dst = to + p;
      f32.depthwise[std::min(f32.depthwise_pixels, count - p) - 1](args);
    }
  }
}

void Depthwise::run(const Context& context, const float* src, float* dst, int options) const {
  if (takes_rows() && !(options & Gather::kAccumulate)) {
    const std::int64_t blocks = dst_.blocks();
    context.parallel(dst_.n * blocks, [&](std::int64_t plane, int) {
      const std::int64_t b = plane % blocks;
      run_rows(src, dst, plane / blocks, phases_[0].gather.dst.y.count, {b, b + 1, b, b}, options);
    });
    return;
  }
  for (const Phase& phase : phases_) {
    const std::int64_t bands = (phase.gather.dst.size() + kBand - 1) / kBand;
    context.parallel(bands, [&](std::int64_t band, int) {
      run_band(phase, src, dst, band * kBand, std::min<std::int64_t>((band + 1) * kBand, phase.gather.dst.size()),
               {0, dst_.blocks(), 0, 0}, options);
    });
  }
}

namespace {

constexpr std::int64_t kFewest = 5;  // narrower maps fill the tiles of a pixel list better

}  // namespace

bool Depthwise::takes_rows(const ConvolutionShape& shape) {
  return shape.window.strides[1] == 1 && shape.out_w >= kFewest;
}

bool Depthwise::takes_rows() const {
  const GatherPhase& gather = phases_[0].gather;
  return phases_.size() == 1 && gather.src.x.step == 1 && gather.dst.x.step == 1 && gather.dst.x.count >= kFewest;
}

RowArgs Depthwise::row_args(int options) const {
  const Phase& phase = phases_[0];
  RowArgs args{};
  args.pixels = phase.gather.dst.x.count;
  args.src_row = phase.gather.src.y.step * src_.row();
  args.dst_row = phase.gather.dst.y.step * dst_.row();
  args.offsets = phase.offsets.data();
  args.k = static_cast<std::int64_t>(phase.offsets.size());
  args.flags = (has_bias_ ? kFromBias : 0) | (options & Gather::kApplyRelu ? kRelu : 0);
  return args;
}

void Depthwise::use_block(RowArgs& args, std::int64_t block) const {
  args.weights = packed_.data() + phases_[0].weights + block * args.k * dst_.block;
  args.bias = bias_.data() + block * dst_.block;
}

void Depthwise::run_rows(const float* src, float* dst, std::int64_t image, std::int64_t rows, const Blocks& blocks,
                         int options) const {
  const PixelGrid& from = phases_[0].gather.src;
  const PixelGrid& to = phases_[0].gather.dst;
  RowArgs args = row_args(options);
  args.rows = rows;
  for (std::int64_t b = blocks.first; b < blocks.last; ++b) {
    args.src = src + src_.at(image, b - blocks.first + blocks.src) + src_.pixel(from.y.first, from.x.first);
    args.dst = dst + dst_.at(image, b - blocks.first + blocks.dst) + dst_.pixel(to.y.first, to.x.first);
    use_block(args, b);
    table_->f32.depthwise_rows(args);
  }
}

void Depthwise::run_pair(const Depthwise& next, const float* src, float* lines, float* dst, std::int64_t images,
                         std::int64_t rows, const Blocks& blocks, int options) const {
  const PixelGrid& from = phases_[0].gather.src;
  RowArgs first = row_args(0), second = next.row_args(options);
  second.rows = rows;
  first.dst = lines + dst_.halo.left * dst_.block;
  second.src = first.dst + next.phases_[0].gather.src.x.first * dst_.block;
  for (std::int64_t n = 0; n < images; ++n) {
    for (std::int64_t b = blocks.first; b < blocks.last; ++b) {
      first.src = src + src_.at(n, b - blocks.first + blocks.src) + src_.pixel(from.y.first, from.x.first);
      second.dst = dst + next.dst_.at(n, b - blocks.first + blocks.dst);
      use_block(first, b);
      next.use_block(second, b);
      table_->f32.depthwise_pair(first, second);
    }
  }
}

void Depthwise::run_blocks(const float* src, float* dst, std::int64_t images, std::int64_t rows, const Blocks& blocks,
                           int options) const {
  const PixelGrid& grid = phases_[0].gather.dst;
  const std::int64_t image = grid.y.count * grid.x.count;
  if (takes_rows()) {
    for (std::int64_t n = 0; n < images; ++n) run_rows(src, dst, n, rows, blocks, options);
    return;
  }
  const auto run_range = [&](std::int64_t begin, std::int64_t end) {
    for (; begin < end; begin += kBand)
      run_band(phases_[0], src, dst, begin, std::min<std::int64_t>(begin + kBand, end), blocks, options);
  };
  if (rows == grid.y.count) return run_range(0, images * image);  // one range of the grid
  for (std::int64_t n = 0; n < images; ++n) run_range(n * image, n * image + rows * grid.x.count);
}

void Depthwise::weight_gradient(const Context& context, const float* src, const float* diff, const Layout& diff_layout,
                                float* grad) const {
  const TrainingKernels& kernel = table_->training;
  const Phase& phase = phases_[0];
  const PixelGrid& from = phase.gather.src;
  const PixelGrid& to = phase.gather.dst;
  const std::int64_t taps = static_cast<std::int64_t>(phase.offsets.size());
  // As many taps at a time as there are sums in registers, evenly.
  const std::int64_t parts = (taps + kMaxGradTaps - 1) / kMaxGradTaps,
                     most = (taps + parts - 1) / std::max<std::int64_t>(1, parts);
  context.parallel(dst_.blocks() * parts, [&](std::int64_t index, int) {
    const std::int64_t b = index / parts, first = index % parts * most;
    float sums[kMaxGradTaps * 16] = {};
    const auto each_sum = [&](auto&& f) {
      for (std::int64_t j = 0; j < std::min(most, taps - first); ++j) {
        const std::int64_t tap = phase.gather.taps[static_cast<std::size_t>(first + j)].index;
        for (std::int64_t c = b * dst_.block; c < std::min<std::int64_t>((b + 1) * dst_.block, dst_.c); ++c)
          f(grad[c * taps + tap], sums[j * dst_.block + (c - b * dst_.block)]);
      }
    };
    each_sum([](float so_far, float& sum) { sum = so_far; });
    DepthwiseGradArgs args{};
    args.rows = to.y.count;
    args.pixels = to.x.count;
    args.src_row = from.y.step * src_.row();
    args.src_pixel = from.x.step * src_.block;
    args.diff_row = to.y.step * diff_layout.row();
    args.offsets = phase.offsets.data() + first;
    args.taps = static_cast<int>(std::min(most, taps - first));
    args.grad = sums;
    for (std::int64_t n = 0; n < to.images; ++n) {
      args.src = src + src_.at(n, b) + src_.pixel(from.y.first, from.x.first);
      args.diff = diff + diff_layout.at(n, b) + diff_layout.pixel(to.y.first, to.x.first);
      kernel.depthwise_grad(args);
    }
    each_sum([](float& so_far, float sum) { so_far = sum; });
  });
}

}  // namespace polyadic

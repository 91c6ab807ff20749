// What only training needs of a gather: weight gradients, and weights that stay in packed order from step to step.
#include <algorithm>
#include <utility>

#include "gather.h"

namespace polyadic {
namespace {

// Taps a job of the weight gradient sums at once: they and the pixels of a band stay in the first-level cache.
constexpr std::int64_t kGradientBytes = 16 * 1024;

}  // namespace

std::vector<std::int32_t> Gather::packed_order() const {
  Gather again(shape_, direction_, src_, dst_, maxout_, order_);
  return std::move(again.source_);
}

void Gather::use_packed(const float* weights, const float* bias) {
  if (packed_.size() > 0) {
    for (std::size_t i = 0; i < source_.size(); ++i) {
      if (source_[i] < 0) holes_.push_back(static_cast<std::int32_t>(i));
    }
    packed_ = Buffer();
    release_indices();
  }
  weights_ = weights;
  pack_bias(bias);
}

void Gather::follow(const Gather& forward) {
  by_transposing_ = shape_.groups == 1 && forward.src_.block == dst_.block && forward.dst_.block == src_.block &&
                    forward.maxout_.pieces == 1 && src_.block == table_->f32.block;
  if (by_transposing_) return release_indices();
  const std::vector<std::int32_t> order = forward.packed_order();
  std::vector<std::int32_t> place(static_cast<std::size_t>(shape_.weight_count()), -1);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] >= 0) place[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
  }
  for (std::int32_t& index : source_) index = index < 0 ? -1 : place[static_cast<std::size_t>(index)];
}

void Gather::pack_from(const Context& context, const Gather& forward, const float* weights) {
  if (!by_transposing_) return pack(context, weights, nullptr);
  // Slices of about a quarter of a megabyte: a panel of a large matrix is many jobs.
  struct Job {
    const Panel* panel;
    std::int64_t first, last;  // blocks of output channels
  };
  std::vector<Job> jobs;
  const std::int64_t blocks = src_.blocks();
  for (const Panel& panel : panels_) {
    const std::int64_t taps = static_cast<std::int64_t>(phases_[static_cast<std::size_t>(panel.phase)].taps.size());
    const std::int64_t floats = std::max<std::int64_t>(1, taps * panel.blocks * src_.block * dst_.block);
    const std::int64_t step = std::max<std::int64_t>(1, (1 << 16) / floats);
    for (std::int64_t first = 0; first < blocks; first += step)
      jobs.push_back({&panel, first, std::min(blocks, first + step)});
  }
  context.parallel(static_cast<std::int64_t>(jobs.size()), [&](std::int64_t index, int) {
    const Job& job = jobs[static_cast<std::size_t>(index)];
    for (std::int64_t block = job.first; block < job.last; ++block) pack_block(*job.panel, forward, weights, block);
  });
  has_bias_ = false;
}

// Weights from output channels [block·b, (block + 1)·b) in a panel of input channels: for each tap a transposed tile.
void Gather::pack_block(const Panel& panel, const Gather& forward, const float* weights, std::int64_t block) {
  const int lanes = dst_.block;
  const std::vector<Tap>& taps = phases_[static_cast<std::size_t>(panel.phase)].taps;
  const auto inside = [](std::int64_t channels, std::int64_t index, int width) {
    return static_cast<int>(std::min<std::int64_t>(width, channels - index * width));
  };
  const auto after = std::upper_bound(forward.panels_.begin(), forward.panels_.end(), block,
                                      [](std::int64_t b, const Panel& p) { return b < p.first_block; });
  const Panel& from = *(after - 1);
  const std::int64_t from_row = static_cast<std::int64_t>(from.blocks) * lanes;
  const std::int64_t to_row = static_cast<std::int64_t>(panel.blocks) * lanes;
  const int columns = inside(src_.c, block, lanes);
  const std::int64_t all = static_cast<std::int64_t>(taps.size());
  for (std::int64_t t = 0; t < all; ++t) {
    const std::int64_t k = by_position_ ? t * src_.c + block * lanes : block * lanes * all + t * columns;
    float* to = packed_.data() + panel.weights + k * to_row;
    for (int m = 0; m < panel.blocks; ++m) {
      const std::int64_t input = panel.first_block + m;
      const int rows = inside(dst_.c, input, lanes);
      const std::int64_t from_k =
          input * lanes * shape_.taps() + taps[static_cast<std::size_t>(t)].index * static_cast<std::int64_t>(rows);
      const float* at = weights + from.weights + from_k * from_row + (block - from.first_block) * lanes;
      table_->training.transpose(at, from_row, rows, to + m * lanes, to_row, columns);
    }
  }
}

void Gather::weight_gradient(const Context& context, const float* src, const float* diff, const Layout& diff_layout,
                             float* grad) const {
  const FloatKernels& f32 = table_->f32;
  const GatherPhase& phase = phases_[0];
  struct Job {
    const Panel* panel;
    std::int64_t k0, k1;
  };
  std::vector<Job> jobs;
  for (const Panel& panel : panels_) {
    const std::int64_t k = static_cast<std::int64_t>(panel.offsets.size());
    const int width = f32.taps[panel.blocks - 1];
    const std::int64_t row = static_cast<std::int64_t>(sizeof(float)) * panel.blocks * dst_.block;
    const std::int64_t chunk = (std::max<std::int64_t>(16, kGradientBytes / row) + width - 1) / width * width;
    for (std::int64_t k0 = 0; k0 < k; k0 += chunk) jobs.push_back({&panel, k0, std::min(k, k0 + chunk)});
  }
  context.parallel(static_cast<std::int64_t>(jobs.size()), [&](std::int64_t index, int) {
    const Job& job = jobs[static_cast<std::size_t>(index)];
    const Panel& panel = *job.panel;
    const int width = f32.taps[panel.blocks - 1];
    const std::int64_t panel_row = static_cast<std::int64_t>(panel.blocks) * dst_.block;
    float* sums = grad + panel.weights;
    if (context.first_slice()) std::fill(sums + job.k0 * panel_row, sums + job.k1 * panel_row, 0.0f);
    const float* from[kBand];
    const float* differences[kBand];
    GradArgs args{from, 0,       differences, panel.first_block * diff_layout.plane(), diff_layout.plane(),
                  0,    nullptr, nullptr};
    for (std::int64_t begin = 0; begin < phase.dst.size(); begin += kBand) {
      const std::int64_t end = std::min<std::int64_t>(begin + kBand, phase.dst.size());
      args.pixels = end - begin;
      list_pixels(phase.src, src_, src, begin, end, from);
      list_pixels(phase.dst, diff_layout, diff, begin, end, differences);
      for (std::int64_t k = job.k0; k < job.k1; k += width) {
        args.offsets = panel.offsets.data() + k;
        args.grad = sums + k * panel_row;
        f32.conv_grad[panel.blocks - 1][std::min<std::int64_t>(width, job.k1 - k) - 1](args);
      }
    }
  });
  for (const std::int32_t hole : holes_) grad[hole] = 0.0f;
}

}  // namespace polyadic

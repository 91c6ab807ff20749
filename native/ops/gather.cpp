#include "gather.h"

#include <algorithm>
#include <limits>
#include <string>

#include "../core/status.h"
#include "../plan/weight_store.h"

namespace polyadic {
namespace {

// Taps of one pass over the pixels of a band: the weights for them stay in the second-level cache, from which they
// stream ahead of the multiply-adds; partial sums between passes cost more than that.
constexpr std::int64_t kWeightBytes = 128 * 1024;

std::int64_t chunk_of(int blocks, int block) {
  return std::max<std::int64_t>(16, kWeightBytes / (static_cast<std::int64_t>(sizeof(float)) * blocks * block));
}

// Asks for the cache lines of some floats that are about to be written: every plane begins in another page, where no
// hardware prefetcher sees them coming, and they arrive while the tile is being computed.
inline void prefetch_lines(const float* begin, std::int64_t floats) {
#ifdef __GNUC__
  constexpr std::int64_t kLine = 64 / sizeof(float);
  for (std::int64_t at = 0; at < floats; at += kLine) __builtin_prefetch(begin + at, 1, 2);
  // An effect that the compiler sees: GCC takes a function that only prefetches for a pure one and drops its calls.
  __asm__ volatile("");
#else
  static_cast<void>(begin);
  static_cast<void>(floats);
#endif
}

}  // namespace

Gather::Gather(const ConvolutionShape& shape, Direction direction, const Layout& src, const Layout& dst, Maxout maxout,
               ChannelOrder order)
    : table_(&kernels()), shape_(shape), direction_(direction), src_(src), dst_(dst), maxout_(maxout), order_(order) {
  phases_ = direction == Direction::forward ? forward_phases(shape, src.n) : backward_phases(shape, src.n);
  check_offsets(src_);
  if (shape_.weight_count() > std::numeric_limits<std::int32_t>::max())
    throw Error(ErrorCode::unsupported, "convolution: a kernel of more than 2^31 floats");
  by_position_ = direction == Direction::backward_data && prefers_positions(phases_, src.h, src.w, shape.batch);
  for (int phase = 0; phase < static_cast<int>(phases_.size()); ++phase) add_panels(phase);
  if (by_position_) {
    list_positions();
  } else {
    list_runs();
  }
  packed_size_ = source_.size();
  packed_ = Buffer(packed_size_);
  weights_ = packed_.data();
  bias_ = Buffer(bias_source_.size());
}

// Channel of the convolution's own output (or, backward, input) behind a destination channel; −1: none.
std::int64_t Gather::destination_channel(std::int64_t channel, std::int64_t piece) const {
  if (direction_ == Direction::backward_data) return channel;
  return order_.by_pieces() ? order_.channel_at(channel) : maxout_.channel(channel, piece, shape_.out_channels);
}

// The same of a source channel.
std::int64_t Gather::source_channel(std::int64_t channel) const {
  return direction_ == Direction::backward_data ? order_.channel_at(channel) : channel;
}

std::int64_t Gather::group_of(std::int64_t destination) const {
  const std::int64_t channels = direction_ == Direction::forward ? shape_.out_channels : shape_.in_channels;
  return destination / (channels / shape_.groups);
}

std::int32_t Gather::weight_index(std::int64_t destination, std::int64_t source, std::int64_t tap) const {
  const std::int64_t out = direction_ == Direction::forward ? destination : source;
  const std::int64_t in = direction_ == Direction::forward ? source : destination;
  const std::int64_t in_group = shape_.in_channels / shape_.groups;
  if (out / (shape_.out_channels / shape_.groups) != in / in_group) return -1;
  return static_cast<std::int32_t>((out * in_group + in % in_group) * shape_.taps() + tap);
}

// Neighbouring blocks share a panel while they read the same groups. Pieces of maxout follow each other, so that one
// job can take them in order.
void Gather::add_panels(int phase) {
  const auto same_groups = [&](std::int64_t a, std::int64_t b) {
    for (std::int64_t piece = 0; piece < maxout_.pieces; ++piece) {
      const auto group = [&](std::int64_t channel) {
        return group_of(destination_channel(std::min(channel, dst_.c - 1), piece));
      };
      for (int lane = 0; lane < dst_.block; ++lane) {
        if (group(a * dst_.block + lane) != group(b * dst_.block + lane)) return false;
      }
    }
    return true;
  };
  // Two pieces at a time meet in registers; with an odd number of pieces each goes through dst.
  const std::int64_t together = maxout_.pieces % 2 == 0 ? 2 : 1;
  const std::int64_t limit = std::max<std::int64_t>(1, table_->f32.blocks / together);
  for (std::int64_t block = 0; block < dst_.blocks();) {
    std::int64_t run = 1;
    while (block + run < dst_.blocks() && (shape_.groups == 1 || same_groups(block, block + run))) ++run;
    // Panels of nearly the same width: one that is left over with a single block would keep few sums in registers.
    for (std::int64_t parts = (run + limit - 1) / limit; parts > 0; --parts) {
      const std::int64_t count = (run + parts - 1) / parts;
      for (std::int64_t piece = 0; piece < maxout_.pieces; piece += together)
        add_panel(phase, block, static_cast<int>(count), piece, together);
      block += count;
      run -= count;
    }
  }
}

void Gather::add_panel(int phase, std::int64_t first_block, int count, std::int64_t piece, std::int64_t together) {
  const int blocks = count * static_cast<int>(together);
  Panel panel{phase,
              blocks,
              (piece == 0 ? 0 : kMaxDst) | (together == 2 ? kMaxPairs : 0),
              first_block,
              static_cast<std::int64_t>(source_.size()),
              static_cast<std::int64_t>(bias_source_.size()),
              {}};
  const int block = dst_.block;
  std::vector<std::int64_t> lanes;  // destination channel of each lane, −1 for padding
  std::vector<char> wanted(static_cast<std::size_t>(shape_.groups), 0);
  for (std::int64_t lane = 0; lane < static_cast<std::int64_t>(blocks) * block; ++lane) {
    const std::int64_t at = lane / block;
    const std::int64_t channel = (first_block + at / together) * block + lane % block;
    lanes.push_back(channel < dst_.c ? destination_channel(channel, piece + at % together) : -1);
    if (lanes.back() >= 0) wanted[static_cast<std::size_t>(group_of(lanes.back()))] = 1;
    bias_source_.push_back(static_cast<std::int32_t>(lanes.back()));
  }
  const std::int64_t per_group = src_.c / shape_.groups;
  // Channel blocks outermost: a chunk of k reads few planes. By position, taps outermost: those inside are ranges of k.
  const std::int64_t step = by_position_ ? src_.c : src_.block;
  for (std::int64_t first = 0; first < src_.c; first += step) {
    for (const Tap& tap : phases_[static_cast<std::size_t>(phase)].taps) {
      for (std::int64_t c = first; c < std::min(first + step, src_.c); ++c) {
        if (!wanted[static_cast<std::size_t>(c / per_group)]) continue;
        panel.offsets.push_back(static_cast<std::int32_t>(src_.channel(c) + src_.pixel(tap.dy, tap.dx)));
        const std::int64_t from = source_channel(c);
        for (const std::int64_t lane : lanes)
          source_.push_back(lane < 0 || from < 0 ? -1 : weight_index(lane, from, tap.index));
      }
    }
  }
  panels_.push_back(std::move(panel));
}

std::string Gather::tile_name() const {
  const int blocks = panels_.empty() ? 1 : panels_[0].blocks;
  return "tiles of " + std::to_string(table_->f32.pixels[blocks - 1]) + " pixels x " +
         std::to_string(blocks * dst_.block) + " channels";
}

void Gather::pack(const Context& context, const float* weights, const float* bias) {
  constexpr std::int64_t kSlice = 1 << 16;
  const std::int64_t count = static_cast<std::int64_t>(source_.size());
  context.parallel((count + kSlice - 1) / kSlice, [&](std::int64_t slice, int) {
    const std::int64_t end = std::min(count, (slice + 1) * kSlice);
    for (std::int64_t i = slice * kSlice; i < end; ++i) {
      const std::int32_t from = source_[static_cast<std::size_t>(i)];
      packed_[static_cast<std::size_t>(i)] = from < 0 ? 0.0f : weights[from];
    }
  });
  pack_bias(bias);
}

std::size_t Gather::share_weights(WeightStore& store) {
  const std::size_t saved = store.share(std::move(packed_), shared_);
  weights_ = shared_->data();
  return saved;
}

void Gather::pack_bias(const float* bias) {
  has_bias_ = bias != nullptr;
  for (std::size_t i = 0; has_bias_ && i < bias_source_.size(); ++i)
    bias_[i] = bias_source_[i] < 0 ? 0.0f : bias[bias_source_[i]];
}

void Gather::run_panel(const Panel& panel, const Band& band, const Range* ranges, std::size_t count, int options,
                       float* scratch) const {
  const FloatKernels& f32 = table_->f32;
  const int width = f32.pixels[panel.blocks - 1];
  const std::int64_t chunk = chunk_of(panel.blocks, dst_.block);
  const std::int64_t panel_row = static_cast<std::int64_t>(panel.blocks) * dst_.block;
  TileArgs args{};
  args.bias = bias_.data() + panel.bias;
  args.dst_offset = front_ || to_planes_ ? 0 : panel.first_block * dst_.plane();
  args.dst_block = to_planes_ ? kTilePlane : dst_.plane();
  const auto pass = [&](std::int64_t k0, std::int64_t k, bool first, bool last) {
    args.k = k;
    args.offsets = panel.offsets.data() + k0;
    args.weights = weights_ + panel.weights + k0 * panel_row;
    args.flags = first ? (options & kAccumulate ? kFromDst : has_bias_ ? kFromBias : 0) : kFromPartial;
    args.flags |= last ? panel.flags | (options & kApplyRelu ? kRelu : 0) : kToPartial;
    // Tiles of nearly the same width, for the same reason as panels.
    for (int p = 0, tiles = (band.count + width - 1) / width; tiles > 0; --tiles) {
      const int pixels = (band.count - p + tiles - 1) / tiles;
      args.src = band.src + p;
      args.dst = band.dst + p;
      args.partial = scratch + p * panel_row;
      f32.conv[panel.blocks - 1][pixels - 1](args);
      p += pixels;
    }
  };
  if (count == 0) return pass(0, 0, true, true);  // no tap inside: such pixels are zero
  for (std::size_t r = 0; r < count; ++r) {
    for (std::int64_t k0 = ranges[r].first; k0 < ranges[r].second; k0 += chunk) {
      const std::int64_t k = std::min(chunk, ranges[r].second - k0);
      pass(k0, k, r == 0 && k0 == ranges[0].first, r + 1 == count && k0 + k == ranges[r].second);
    }
  }
}

void Gather::run_whole(const Panel& panel, const Band& band, int options, float* scratch) const {
  const Range all{0, static_cast<std::int64_t>(panel.offsets.size())};
  run_panel(panel, band, &all, all.second == 0 ? 0 : 1, options, scratch);
}

void Gather::run(const Context& context, const float* src, float* dst, int options) const {
  if (by_position_) {
    run_positions(context, src, dst, options);
  } else {
    run_bands(context, src, dst, options);
  }
}

// Weights that stay in the second-level cache beside everything else: then all panels take a band while its pixels are
// in the first level and their list is made. Only where the bands alone keep all threads busy.
bool Gather::small_weights(const Context& context) const {
  constexpr std::size_t kSmall = 64 * 1024;
  return phases_.size() == 1 && weight_bytes() <= kSmall &&
         phases_[0].dst.size() >= std::int64_t{4} * kBand * context.threads();
}

// Panels that one job takes in order: all pieces of the same blocks.
void Gather::list_runs() {
  jobs_ = {0};
  for (std::size_t i = 0; i < panels_.size();) {
    std::size_t end = i + 1;
    while (end < panels_.size() && (panels_[end].flags & kMaxDst)) ++end;
    runs_.emplace_back(i, end);
    const std::int64_t pixels = phases_[static_cast<std::size_t>(panels_[i].phase)].dst.size();
    jobs_.push_back(jobs_.back() + (pixels + kBand - 1) / kBand);
    i = end;
  }
}

// A panel's jobs are the positions of its phase; the ranges of k that are inside there differ from panel to panel only
// by the channels a tap has.
void Gather::list_positions() {
  jobs_ = {0};
  inside_begin_ = {0};
  for (const Panel& panel : panels_) {
    const GatherPhase& phase = phases_[static_cast<std::size_t>(panel.phase)];
    const std::int64_t channels =
        phase.taps.empty() ? 0 : static_cast<std::int64_t>(panel.offsets.size() / phase.taps.size());
    jobs_.push_back(jobs_.back() + phase.dst.y.count * phase.dst.x.count);
    inside_of_panel_.push_back(inside_begin_.size() - 1);
    for (std::int64_t y = 0; y < phase.dst.y.count; ++y) {
      for (std::int64_t x = 0; x < phase.dst.x.count; ++x) {
        for (const auto& [first, last] : inside_taps(phase, y, x, src_.h, src_.w))
          inside_.emplace_back(first * channels, last * channels);
        inside_begin_.push_back(inside_.size());
      }
    }
  }
}

std::size_t Gather::job_of(std::int64_t index) const {
  return static_cast<std::size_t>(std::upper_bound(jobs_.begin(), jobs_.end(), index) - jobs_.begin()) - 1;
}

void Gather::run_bands(const Context& context, const float* src, float* dst, int options) const {
  if (small_weights(context)) {
    const GatherPhase& phase = phases_[0];
    const std::int64_t size = phase.dst.size();
    context.parallel((size + kBand - 1) / kBand, [&](std::int64_t band, int thread) {
      run_range(src, dst, band * kBand, std::min<std::int64_t>((band + 1) * kBand, size), options,
                context.scratch(thread));
    });
    return;
  }
  // Bands change fastest: a panel's weights are used for all pixels before the next panel's come in.
  context.parallel(jobs_.back(), [&](std::int64_t index, int thread) {
    const std::size_t r = job_of(index);
    const GatherPhase& phase = phases_[static_cast<std::size_t>(panels_[runs_[r].first].phase)];
    const std::int64_t begin = (index - jobs_[r]) * kBand;
    const std::int64_t end = std::min(begin + kBand, phase.dst.size());
    const float* from[kBand];
    float* to[kBand];
    list_pixels(phase.src, src_, src, begin, end, from);
    list_pixels(phase.dst, dst_, dst, begin, end, to);
    const Band band{from, to, static_cast<int>(end - begin)};
    for (std::size_t p = runs_[r].first; p < runs_[r].second; ++p) {
      run_whole(panels_[p], band, options, context.scratch(thread));
    }
  });
}

// One position over all images at a time: all pixels of a band share the taps that are inside.
void Gather::run_positions(const Context& context, const float* src, float* dst, int options) const {
  context.parallel(jobs_.back(), [&](std::int64_t index, int thread) {
    const std::size_t p = job_of(index);
    const Panel& panel = panels_[p];
    const GatherPhase& phase = phases_[static_cast<std::size_t>(panel.phase)];
    const std::int64_t position = index - jobs_[p];
    const std::int64_t y = position / phase.dst.x.count, x = position % phase.dst.x.count;
    const std::size_t at = inside_of_panel_[p] + static_cast<std::size_t>(position);
    const Range* ranges = inside_.data() + inside_begin_[at];
    const std::size_t count = inside_begin_[at + 1] - inside_begin_[at];
    const float* from = src + src_.origin() +
                        src_.pixel(phase.src.y.first + y * phase.src.y.step, phase.src.x.first + x * phase.src.x.step);
    float* to = dst + dst_.origin() +
                dst_.pixel(phase.dst.y.first + y * phase.dst.y.step, phase.dst.x.first + x * phase.dst.x.step);
    const float* sources[kBand];
    float* targets[kBand];
    for (std::int64_t n = 0; n < phase.dst.images; n += kBand) {
      const Band band{sources, targets, static_cast<int>(std::min<std::int64_t>(kBand, phase.dst.images - n))};
      for (int i = 0; i < band.count; ++i) {
        sources[i] = from + (n + i) * src_.image();
        targets[i] = to + (n + i) * dst_.image();
      }
      run_panel(panel, band, ranges, count, options, context.scratch(thread));
    }
  });
}

void Gather::run_range(const float* src, float* dst, std::int64_t begin, std::int64_t end, int options,
                       float* scratch) const {
  const float* from[kBand];
  float* to[kBand];
  for (std::int64_t at = begin; at < end; at += kBand) {
    const std::int64_t stop = std::min(at + kBand, end);
    if (to_planes_) {
      list_pixels(phases_[0].src, src_, src, at, stop, from);
      run_to_planes(from, static_cast<int>(stop - at), dst, at, options, scratch);
      continue;
    }
    list(src, dst, at, stop, from, to);
    for (const Panel& panel : panels_) run_whole(panel, {from, to, static_cast<int>(stop - at)}, options, scratch);
  }
}

void Gather::run_to_planes(const float* const* from, int count, float* dst, std::int64_t begin, int options,
                           float* scratch) const {
  float* tile = scratch + kMaxBlocks * kBand * 16;
  float* targets[kBand];
  for (int p = 0; p < count; ++p) targets[p] = tile + p * dst_.block;
  const Band band{from, targets, count};
  const PixelGrid& grid = phases_[0].dst;
  const std::int64_t area = grid.y.count * grid.x.count;
  // f(p, pixels, to) for the pixels from p on that one image has of the band, and where they lie in its first plane.
  const auto each_image = [&](auto&& f) {
    for (std::int64_t p = 0; p < band.count;) {
      const std::int64_t n = (begin + p) / area, inside = (begin + p) % area;
      const std::int64_t pixels = std::min(band.count - p, area - inside);
      f(p, pixels, dst + planes_.at(n) + inside);
      p += pixels;
    }
  };
  for (const Panel& panel : panels_) {
    const std::int64_t first = panel.first_block * dst_.block;
    const std::int64_t last = std::min(first + std::int64_t{panel.blocks} * dst_.block, planes_.c);
    each_image([&](std::int64_t, std::int64_t pixels, const float* to) {
      for (std::int64_t channel = first; channel < last; ++channel)
        prefetch_lines(to + channel * planes_.plane(), pixels);
    });
    run_whole(panel, band, options, scratch);
    each_image([&](std::int64_t p, std::int64_t pixels, float* to) {
      for (std::int64_t m = 0, channel = first; channel < last; ++m, channel += dst_.block) {
        table_->layout.from_blocked(tile + m * kTilePlane + p * dst_.block, pixels,
                                    std::min<std::int64_t>(dst_.block, last - channel), to + channel * planes_.plane(),
                                    planes_.plane());
      }
    });
  }
}

void Gather::list(const float* src, float* dst, std::int64_t begin, std::int64_t end, const float** from,
                  float** to) const {
  list_pixels(phases_[0].src, src_, src, begin, end, from);
  list_pixels(phases_[0].dst, dst_, dst, begin, end, to);
}

void Gather::run_listed(std::size_t panel, const float* const* from, float* const* to, std::int64_t pixels, int options,
                        float* scratch) const {
  for (std::int64_t at = 0; at < pixels; at += kBand) {
    const Band band{from + at, to + at, static_cast<int>(std::min<std::int64_t>(kBand, pixels - at))};
    run_whole(panels_[panel], band, options, scratch);
  }
}

std::pair<std::int64_t, std::int64_t> Gather::panel_range(std::size_t panel) const {
  const Panel& p = panels_[panel];
  return {p.first_block, p.first_block + p.blocks / (p.flags & kMaxPairs ? 2 : 1)};
}

}  // namespace polyadic

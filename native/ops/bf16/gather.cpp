#include "gather.h"

#include <algorithm>
#include <limits>

#include "../../core/cpu_features.h"
#include "../../core/status.h"

namespace polyadic {
namespace {

constexpr std::int64_t kStep = kMatrixDepth / 2;  // pairs of a step of products by tile registers

// Measured: a product of tiles, how much longer it takes where its pixels were put together before and come from the
// second-level cache, and putting a line together.
constexpr double kProductCycles = 17, kFarther = 1.2, kLineCycles = 2.5;

// Pixels of a tile that is not full must not lie further apart: it would read behind the memory of all values.
constexpr std::int64_t kMostStep = kBf16PixelsBehind / kMatrixRows;

// Steps of one pass over the pixels of a band, at least: a panel's weights for them, 2 KiB each, stay in the
// first-level cache.
constexpr std::int64_t kStepsOfPass = 12;

// Pairs of one pass over the pixels of a band: a panel's weights for them stay in the first-level cache.
std::int64_t chunk_of(std::int64_t lanes) {
  constexpr std::int64_t kWeightBytes = 24 * 1024;
  return std::max<std::int64_t>(1, kWeightBytes / (static_cast<std::int64_t>(2 * sizeof(Bf16)) * lanes));
}

// Pixels of the tiles that so many take.
std::int64_t whole_tiles(std::int64_t pixels) { return round_up(pixels, kMatrixRows); }

// Each row of pixels in tiles of its own or, where nothing strides, over the padding between rows as well.
std::vector<PixelOrder> even_orders(const PixelGrid& grid, const Layout& src, const Layout& out) {
  std::vector<PixelOrder> orders{{out.n, out.h, out.w, whole_tiles(out.w), out.h * whole_tiles(out.w)}};
  const std::int64_t pitch = src.row() / src.block;
  if (grid.x.step == 1 && grid.y.step == 1)
    orders.push_back({out.n, out.h, out.w, pitch, whole_tiles((out.h - 1) * pitch + out.w)});
  return orders;
}

}  // namespace

Bf16Gather::Bf16Gather(const ConvolutionShape& shape, const PlacedLayout& src, const PlacedLayout& dst, Maxout maxout,
                       int flags)
    : table_(&bf16_kernels()),
      shape_(shape),
      src_(src),
      dst_(dst),
      maxout_(maxout),
      flags_(flags),
      lanes_(bf16_lanes()),
      taps_(forward_phases(shape, 1)[0].taps) {
  if (src.layout.image() > std::numeric_limits<std::int32_t>::max())
    throw Error(ErrorCode::unsupported, "convolution: an image of more than 2^31 elements");
  if (src.layout.block == 1 && (shape.window.kernel[1] < 2 || shape.window.dilations[1] != 1))
    throw Error(ErrorCode::shape, "convolution: a plain bf16 source needs windows of two columns");
  fills_blocks_ = filling_pays();
  const int most = table_->matrix ? kMatrixBlocks : kMaxBlocks, limit = maxout.pieces % 2 == 0 ? most / 2 : most;
  const std::int64_t count = bf16_strips(dst.layout), together = std::max(1, dst.layout.block / lanes_);
  for (std::int64_t first = 0; first < count;) {
    // A part's strips are as far from each other as those of a block are.
    const std::int64_t last = first % together == 0 ? count : std::min(count, first / together * together + together);
    std::int64_t end = first + 1;
    while (end < last && (shape.groups == 1 || groups_of(first) == groups_of(end))) ++end;
    // Parts of nearly the same size: a small one would be the slower for each of its strips.
    for (std::int64_t parts = (end - first + limit - 1) / limit; parts > 0; --parts) {
      const std::int64_t strips = (end - first + parts - 1) / parts;
      add_part(first, static_cast<int>(strips));
      first += strips;
    }
  }
  packed_ = Buffer(static_cast<std::size_t>(packed_size_));
  bias_ = Buffer(static_cast<std::size_t>(bias_size_));
}

// First and last group that a strip of the destination belongs to, over all pieces of maxout.
std::pair<std::int64_t, std::int64_t> Bf16Gather::groups_of(std::int64_t strip) const {
  const std::int64_t per_group = shape_.out_channels / shape_.groups;
  std::pair<std::int64_t, std::int64_t> range{shape_.groups, -1};
  for (std::int64_t place = strip * lanes_; place < (strip + 1) * lanes_; ++place) {
    const std::int64_t channel = dst_.places.channel(place);
    if (channel < 0 || channel >= shape_.out_channels / maxout_.pieces) continue;
    for (std::int64_t piece = 0; piece < maxout_.pieces; ++piece) {
      const std::int64_t group = maxout_.channel(channel, piece, shape_.out_channels) / per_group;
      range = {std::min(range.first, group), std::max(range.second, group)};
    }
  }
  return range;
}

void Bf16Gather::add_part(std::int64_t first_strip, int strips) {
  Part part{first_strip, strips, panels_.size(), 0, {}, {}, 0};
  // Two pieces at a time meet in registers; with an odd number of pieces each goes through dst.
  const int together = maxout_.pieces % 2 == 0 ? 2 : 1;
  for (std::int64_t piece = 0; piece < maxout_.pieces; piece += together) {
    Panel panel{
        strips * together, (piece == 0 ? 0 : kMaxDst) | (together == 2 ? kMaxPairs : 0), packed_size_, bias_size_, {}};
    for (std::int64_t lane = 0; lane < panel.blocks * lanes_; ++lane) {
      const std::int64_t at = lane / lanes_;
      const std::int64_t channel = dst_.places.channel((first_strip + at / together) * lanes_ + lane % lanes_);
      const bool exists = channel >= 0 && channel < shape_.out_channels / maxout_.pieces;
      panel.channels.push_back(exists ? maxout_.channel(channel, piece + at % together, shape_.out_channels) : -1);
    }
    bias_size_ += static_cast<std::int64_t>(panel.channels.size());
    panels_.push_back(std::move(panel));
    part.last_panel = panels_.size();
    if (piece == 0) {
      for (const Pair& pair : pairs(part)) {
        part.offsets.push_back(static_cast<std::int32_t>(pair.offset));
        part.single.push_back(pair.single);
      }
    }
    packed_size_ += packed_pairs(part) * static_cast<std::int64_t>(panels_.back().channels.size());
  }
  if (table_->matrix) add_rows(part);
  parts_.push_back(std::move(part));
}

void Bf16Gather::add_rows(Part& part) {
  if (!parts_.empty() && parts_.back().offsets == part.offsets) {
    part.rows = parts_.back().rows;
    return;
  }
  part.rows = rows_.size();
  rows_.emplace_back(part.offsets, part.single);
  row_begin_.push_back(row_width_);
  row_width_ += rows_.back().width();
}

std::int64_t Bf16Gather::packed_pairs(const Part& part) const {
  const std::int64_t pairs = static_cast<std::int64_t>(part.offsets.size());
  return table_->matrix ? round_up(pairs, kStep) : pairs;
}

std::vector<Bf16Gather::Pair> Bf16Gather::pairs(const Part& part) const {
  auto groups = groups_of(part.first_strip);
  for (int strip = 1; strip < part.strips; ++strip) {
    const auto range = groups_of(part.first_strip + strip);
    groups = {std::min(groups.first, range.first), std::max(groups.second, range.second)};
  }
  return src_.layout.block == 1 ? plain_pairs(groups) : blocked_pairs(groups);
}

// The channel at a place of the source if it is one of these groups', else −1.
std::int64_t Bf16Gather::wanted_channel(std::int64_t place, std::pair<std::int64_t, std::int64_t> groups) const {
  const std::int64_t channel = src_.places.channel(place), per_group = shape_.in_channels / shape_.groups;
  if (channel < 0 || channel >= shape_.in_channels) return -1;
  return channel / per_group < groups.first || channel / per_group > groups.second ? -1 : channel;
}

std::vector<Bf16Gather::Pair> Bf16Gather::plain_pairs(std::pair<std::int64_t, std::int64_t> groups) const {
  const Layout& src = src_.layout;
  const std::int64_t columns = shape_.window.kernel[1];
  std::vector<Pair> list;
  for (std::int64_t place = 0; place < src.c; ++place) {
    const std::int64_t channel = wanted_channel(place, groups);
    if (channel < 0) continue;
    for (std::size_t t = 0; t < taps_.size(); t += 2) {
      // Beyond the last of an odd row there may be anything: where rows are not put together, it goes with the one
      // before it once more.
      const bool last = static_cast<std::int64_t>(t) % columns == columns - 1, again = last && !table_->matrix;
      const Tap& tap = taps_[again ? t - 1 : t];
      list.push_back({src.channel(place) + src.pixel(tap.dy, tap.dx),
                      {again ? -1 : channel, last && !again ? -1 : channel},
                      {tap.index, tap.index + 1},
                      last && !again});
      if (last) --t;
    }
  }
  return list;
}

// Channel blocks outermost, so that a chunk of pairs reads few planes.
std::vector<Bf16Gather::Pair> Bf16Gather::blocked_pairs(std::pair<std::int64_t, std::int64_t> groups) const {
  const Layout& src = src_.layout;
  const auto is_channel = [&](std::int64_t place) {
    const std::int64_t channel = src_.places.channel(place);
    return channel >= 0 && channel < shape_.in_channels;
  };
  std::vector<Pair> list;
  for (std::int64_t begin = 0; begin < src.blocks() * src.block; begin += src.block) {
    // What fills up a block of a step is read with it, with weights of 0; another group's channels are not, they may
    // be infinite.
    bool whole = fills_blocks_;
    for (std::int64_t place = begin; place < begin + src.block; ++place)
      whole = whole && (wanted_channel(place, groups) >= 0 || !is_channel(place));
    for (const Tap& tap : taps_) {
      for (std::int64_t place = begin; place < begin + src.block; place += 2) {
        const std::int64_t even = wanted_channel(place, groups), odd = wanted_channel(place + 1, groups);
        if (even < 0 && odd < 0 && !whole) continue;
        list.push_back({src.channel(place) + src.pixel(tap.dy, tap.dx), {even, odd}, {tap.index, tap.index}});
      }
    }
  }
  return list;
}

void Bf16Gather::pack(const Context& context, const float* weights, const float* bias) {
  context.parallel(static_cast<std::int64_t>(parts_.size()), [&](std::int64_t index, int) {
    const Part& part = parts_[static_cast<std::size_t>(index)];
    const std::vector<Pair> list = pairs(part);
    for (std::size_t p = part.first_panel; p < part.last_panel; ++p) pack_panel(panels_[p], list, weights);
  });
  has_bias_ = bias != nullptr;
  for (const Panel& panel : panels_) {
    for (std::size_t lane = 0; bias && lane < panel.channels.size(); ++lane)
      bias_[static_cast<std::size_t>(panel.bias) + lane] = panel.channels[lane] < 0 ? 0.0f : bias[panel.channels[lane]];
  }
}

void Bf16Gather::pack_panel(const Panel& panel, const std::vector<Pair>& pairs, const float* weights) {
  const std::int64_t in_group = shape_.in_channels / shape_.groups, out_group = shape_.out_channels / shape_.groups;
  const std::size_t lanes = panel.channels.size();
  float row[2 * 16 * kMaxBlocks];
  Bf16* to = reinterpret_cast<Bf16*>(packed_.data() + panel.weights);
  for (const Pair& pair : pairs) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::int64_t in = pair.channel[half];
      const std::int64_t group = in < 0 ? -1 : in / in_group;
      const std::int64_t at = in < 0 ? 0 : in % in_group * shape_.taps() + pair.tap[half];
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::int64_t out = panel.channels[lane];
        const bool exists = out >= 0 && out / out_group == group;
        row[2 * lane + half] = exists ? weights[out * in_group * shape_.taps() + at] : 0.0f;
      }
    }
    table_->round(row, to, static_cast<std::int64_t>(2 * lanes));
    to += 2 * lanes;
  }
}

ThreadScope Bf16Gather::scope() {
  const Bf16MatrixKernels* matrix = bf16_kernels().matrix;
  return matrix ? ThreadScope{matrix->enter, matrix->leave} : ThreadScope{};
}

int Bf16Gather::band() const {
  if (row_width_ == 0) return kBand;
  const std::int64_t room = second_level_cache_bytes() / 4 / (row_width_ * static_cast<std::int64_t>(sizeof(Bf16)));
  const std::int64_t whole = room < kMatrixPixels ? kMatrixRows : room / kMatrixPixels * kMatrixPixels;
  return static_cast<int>(std::min<std::int64_t>(kBand, whole));
}

bool Bf16Gather::reads_in_place() const {
  bool in_place = !rows_.empty();
  for (const Bf16MatrixRows& rows : rows_) in_place = in_place && rows.lie_side_by_side();
  return in_place;
}

PixelOrder Bf16Gather::order(const PixelGrid& grid, const Layout& out) const {
  const PixelOrder dense = PixelOrder::dense(out);
  if (!reads_in_place() || grid.x.step > kMostStep) return dense;
  PixelOrder best = dense;
  double least = static_cast<double>(whole_tiles(dense.size())) * (kFarther * products() + lines());
  for (const PixelOrder& order : even_orders(grid, src_.layout, out)) {
    const double work = static_cast<double>(order.size()) * products();
    if (work >= least) continue;
    least = work;
    best = order;
  }
  return best;
}

// Products of tiles for 16 pixels, in cycles a pixel.
double Bf16Gather::products() const {
  double count = 0;
  for (const Part& part : parts_) {
    for (std::size_t p = part.first_panel; p < part.last_panel; ++p)
      count += static_cast<double>(rows_[part.rows].steps()) * panels_[p].blocks;
  }
  return count * kProductCycles / kMatrixRows;
}

// Putting a pixel's lines together, in cycles.
double Bf16Gather::lines() const {
  double count = 0;
  for (const Bf16MatrixRows& rows : rows_) count += static_cast<double>(rows.steps());
  return count * kLineCycles;
}

// Whether tiles should read what fills up the last block of a source, to read all of it in place.
bool Bf16Gather::filling_pays() const {
  if (!table_->matrix || src_.layout.block != kMatrixDepth) return false;
  const auto steps = [](std::int64_t values) {
    const std::int64_t count = (values + kMatrixDepth - 1) / kMatrixDepth;
    return static_cast<double>(count);
  };
  const GatherPhase phase = forward_phases(shape_, 1)[0];
  const Layout out{1, shape_.out_channels, shape_.out_h, shape_.out_w, 1, {}};
  double places = static_cast<double>(kMatrixRows * kMatrixRows * out.h * out.w);
  for (const PixelOrder& order : even_orders(phase.src, src_.layout, out))
    places = std::min(places, static_cast<double>(order.size()));
  const std::int64_t group = shape_.in_channels / shape_.groups;
  const double taps = static_cast<double>(shape_.taps());
  const double strips = static_cast<double>(bf16_strips(dst_.layout) * maxout_.pieces),
               a_step = kProductCycles / kMatrixRows * strips;
  const double put_together =
      static_cast<double>(out.h * out.w) * steps(group * shape_.taps()) * (kFarther * a_step + kLineCycles);
  return places * taps * steps(group) * a_step <= put_together;
}

std::size_t Bf16Gather::parts_together() const {
  const std::size_t room = static_cast<std::size_t>(second_level_cache_bytes()) / 2;
  return std::max<std::size_t>(1, parts_.size() * room / std::max(room, weight_bytes()));
}

Bf16Source Bf16Gather::source(const Bf16* const* src, std::int64_t pixels, float* room) const {
  Bf16Source source{src, pixels, nullptr, 0, false};
  if (rows_.empty() || pixels <= 0) return source;
  source.step = pixels > 1 ? src[1] - src[0] : 0;
  source.in_place = reads_in_place();
  if (source.step > kMostStep * src_.layout.block && pixels % kMatrixRows != 0) source.in_place = false;
  for (std::int64_t p = 1; source.in_place && p < pixels; ++p)
    source.in_place = p % kMatrixRows == 0 || src[p] - src[p - 1] == source.step;
  if (source.in_place) return source;
  Bf16* const to = reinterpret_cast<Bf16*>(room);
  const std::int64_t count = whole_tiles(pixels);
  for (std::size_t i = 0; i < rows_.size(); ++i)
    rows_[i].collect(*table_->matrix, src, pixels, to + row_begin_[i] * count);
  source.rows = to;
  return source;
}

void Bf16Gather::run(std::size_t index, const Bf16Source& source, std::int64_t first, void* const* dst, int pixels,
                     float* scratch) const {
  const Part& part = parts_[index];
  for (std::size_t p = part.first_panel; p < part.last_panel; ++p) {
    if (table_->matrix) {
      run_matrix(part, panels_[p], source, first, dst, pixels, scratch);
    } else {
      run_tiles(part, panels_[p], source, first, dst, pixels, scratch);
    }
  }
}

// Where a panel's sums begin and go, in the pass over its pairs from k0 on.
void Bf16Gather::begin_panel(const Panel& panel, std::int64_t k0, bool last, Bf16Target& target) const {
  target.block = lanes_;
  target.dst_block = dst_.layout.block > lanes_ ? lanes_ : dst_.layout.plane();
  target.blocks = panel.blocks;
  target.bias = bias_.data() + panel.bias;
  target.flags = k0 > 0 ? kFromPartial : has_bias_ ? kFromBias : 0;
  target.flags |= last ? panel.flags | flags_ : kToPartial;
}

void Bf16Gather::run_tiles(const Part& part, const Panel& panel, const Bf16Source& source, std::int64_t first,
                           void* const* dst, int pixels, float* scratch) const {
  const std::int64_t pairs = static_cast<std::int64_t>(part.offsets.size());
  const std::int64_t lanes = static_cast<std::int64_t>(panel.channels.size()), chunk = chunk_of(lanes);
  const int width = table_->pixels[panel.blocks - 1];
  Bf16TileArgs args{};
  for (std::int64_t k0 = 0; k0 == 0 || k0 < pairs; k0 += chunk) {
    args.k = std::min(chunk, pairs - k0);
    begin_panel(panel, k0, k0 + args.k >= pairs, args);
    args.offsets = part.offsets.data() + k0;
    args.weights = reinterpret_cast<const Bf16*>(packed_.data() + panel.weights + k0 * lanes);
    for (int x = 0; x < pixels; x += width) {
      args.pixels = std::min(width, pixels - x);
      args.src = source.pixels + first + x;
      args.dst = dst + x;
      args.partial = scratch + x * lanes;
      table_->tile[panel.blocks - 1][args.pixels - 1](args);
    }
  }
}

void Bf16Gather::run_matrix(const Part& part, const Panel& panel, const Bf16Source& source, std::int64_t first,
                            void* const* dst, int pixels, float* scratch) const {
  const Bf16MatrixRows& rows = rows_[part.rows];
  const std::int64_t steps = rows.steps(), lanes = static_cast<std::int64_t>(panel.channels.size());
  const Bf16* collected = source.in_place ? nullptr : source.rows + row_begin_[part.rows] * whole_tiles(source.count);
  // Many weights: some of them for all pixels before the next are, so that they stay in the first-level cache.
  const std::int64_t passes = pixels > kMatrixPixels ? std::max<std::int64_t>(1, steps / kStepsOfPass) : 1;
  Bf16MatrixArgs args{};
  args.row_step = source.in_place ? source.step : rows.width();
  for (std::int64_t pass = 0, done = 0; pass < passes; ++pass, done += args.steps) {
    args.steps = steps * (pass + 1) / passes - done;
    args.offsets = rows.offsets(source.in_place) + done;
    args.weights = reinterpret_cast<const Bf16*>(packed_.data() + panel.weights + done * kStep * lanes);
    begin_panel(panel, done, pass + 1 == passes, args);
    for (int x = 0; x < pixels; x += kMatrixPixels) {
      args.pixels = std::min(kMatrixPixels, pixels - x);
      for (int half = 0; half * kMatrixRows < args.pixels; ++half) {
        const std::int64_t at = first + x + half * kMatrixRows;
        args.rows[half] = source.in_place ? source.pixels[at] : collected + at * args.row_step;
      }
      args.dst = dst + x;
      args.partial = scratch + x * lanes;
      args.sums = sums_as_they_are(args);
      table_->matrix->product(args);
    }
  }
}

// Where the sums of whole tiles can be stored without more ado.
float* Bf16Gather::sums_as_they_are(const Bf16MatrixArgs& args) const {
  const bool changed = (args.flags & ~(kFromBias | kFromPartial)) != 0, whole = args.pixels % kMatrixRows == 0;
  if (changed || !whole) return nullptr;
  float* const to = static_cast<float*>(args.dst[0]);
  for (int p = 1; p < args.pixels; ++p) {
    if (static_cast<float*>(args.dst[p]) != to + p * lanes_) return nullptr;
  }
  return to;
}

}  // namespace polyadic

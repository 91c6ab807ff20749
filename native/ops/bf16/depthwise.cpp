#include "depthwise.h"

#include <algorithm>

namespace polyadic {

Bf16Depthwise::Bf16Depthwise(const ConvolutionShape& shape, const Layout& src, const ChannelPlaces& places,
                             std::int64_t strips)
    : table_(&bf16_kernels()),
      shape_(shape),
      places_(places),
      lanes_(bf16_lanes()),
      src_block_(src.block),
      strips_(strips) {
  const std::vector<GatherPhase> phases = forward_phases(shape, 1);
  for (const Tap& tap : phases[0].taps) offsets_.push_back(static_cast<std::int32_t>(src.pixel(tap.dy, tap.dx)));
  packed_ = Buffer(static_cast<std::size_t>(strips * shape.taps() * lanes_));
  bias_ = Buffer(static_cast<std::size_t>(strips * lanes_));
}

void Bf16Depthwise::pack(const float* weights, const float* bias) {
  has_bias_ = bias != nullptr;
  for (std::int64_t place = 0; place < strips_ * lanes_; ++place) {
    const std::int64_t channel = places_.channel(place), strip = place / lanes_, lane = place % lanes_;
    if (channel < 0 || channel >= shape_.in_channels) continue;
    for (std::int64_t t = 0; t < shape_.taps(); ++t) {
      packed_[static_cast<std::size_t>((strip * shape_.taps() + t) * lanes_ + lane)] =
          weights[channel * shape_.taps() + t];
    }
    if (bias) bias_[static_cast<std::size_t>(place)] = bias[channel];
  }
}

void Bf16Depthwise::run(std::int64_t strip, const Rows& rows, int flags) const {
  // The kernels of float32 use what they load more often. The twin has none but its own.
  const bool dense = !rows.src_bf16 && src_block_ == lanes_ && shape_.window.strides[1] == 1;
  if (table_->block > 0 && dense && (rows.dst_bf16 ? rows.room != nullptr : rows.dst_step == lanes_))
    return run_float(strip, rows, flags);
  Bf16RowArgs args = arguments<Bf16RowArgs>(strip, rows, flags);
  args.src = rows.src;
  args.dst = rows.dst;
  args.rows = rows.rows;
  args.dst_row = rows.dst_row;
  args.dst_step = rows.dst_step;
  args.src_step = shape_.window.strides[1] * src_block_;
  args.block = lanes_;
  table_->rows[rows.src_bf16][rows.dst_bf16](args);
}

// What the kernels of both precisions are told alike.
template <class Args>
Args Bf16Depthwise::arguments(std::int64_t strip, const Rows& rows, int flags) const {
  Args args{};
  args.pixels = rows.pixels;
  args.src_row = rows.src_row;
  args.offsets = offsets_.data();
  args.k = static_cast<std::int64_t>(offsets_.size());
  args.weights = packed_.data() + strip * args.k * lanes_;
  args.bias = bias_.data() + strip * lanes_;
  args.flags = (flags & kRelu) | (has_bias_ ? kFromBias : 0);
  return args;
}

void Bf16Depthwise::run_float(std::int64_t strip, const Rows& rows, int flags) const {
  RowArgs args = arguments<RowArgs>(strip, rows, flags);
  args.src = static_cast<const float*>(rows.src);
  if (!rows.dst_bf16) {
    args.dst = static_cast<float*>(rows.dst);
    args.dst_row = rows.dst_row;
    args.rows = rows.rows;
    return kernels().f32.depthwise_rows(args);
  }
  args.dst = rows.room;
  args.dst_row = rows.pixels * lanes_;
  Bf16StripArgs strip_args{nullptr, nullptr, rows.pixels, lanes_, rows.dst_step, lanes_};
  for (std::int64_t y = 0; y < rows.rows; y += kPairRows) {
    args.rows = std::min<std::int64_t>(kPairRows, rows.rows - y);
    kernels().f32.depthwise_rows(args);
    args.src += args.rows * args.src_row;
    for (std::int64_t i = 0; i < args.rows; ++i) {
      strip_args.src = args.dst + i * args.dst_row;
      strip_args.dst = static_cast<Bf16*>(rows.dst) + (y + i) * rows.dst_row;
      table_->round_strip(strip_args);
    }
  }
}

}  // namespace polyadic

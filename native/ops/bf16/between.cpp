#include "between.h"

#include <algorithm>

namespace polyadic {

void Bf16Between::lay_out(std::int64_t band, const Layout& ranked) {
  ranked_ = ranked;
  const int lanes = bf16_lanes();
  middle_ = Layout{1, lanes, 0, 0, lanes, {}};
  if (stages_.depthwise() < 2) return;
  // Counted as if nothing lay outside of the image.
  middle_.h = stages_.row_by_row() ? kPairRows : stages_.all_middle_rows({0, band}).count();
  middle_.w = stages_.depthwise(1).in_w;
  middle_.halo = column_halo(stages_.depthwise(1));
}

void Bf16Between::make_kernels(const Layout& source) {
  source_ = source;
  const std::int64_t strips = stages_.width() / bf16_lanes();
  for (std::size_t i = 0; i < stages_.depthwise(); ++i)
    kernels_.emplace_back(stages_.depthwise(i), i > 0 ? middle_ : source, stages_.rank(), strips);
}

// Between two stages, then rows before they are rounded.
std::int64_t Bf16Between::scratch_floats() const {
  return round_up(middle_.size(), 16) + Bf16Depthwise::room_floats(ranked_.w);
}

void Bf16Between::clear(float* scratch) const {
  if (stages_.depthwise() == 2) clear_halo(middle_, scratch);
}

std::size_t Bf16Between::weight_bytes() const {
  std::size_t bytes = 0;
  for (const Bf16Depthwise& kernel : kernels_) bytes += kernel.weight_bytes();
  return bytes;
}

void Bf16Between::run(std::int64_t strip, const Source& source, Rows out, Bf16* to, float* scratch) const {
  if (stages_.depthwise() == 0) {
    const std::int64_t pixels = out.count() * source_.w;
    return bf16_kernels().round_strip({source.reduced, to, pixels, source_.block, ranked_.block, source_.block});
  }
  Bf16Depthwise::Rows rows{};
  rows.dst = to;
  rows.dst_bf16 = true;
  rows.dst_row = ranked_.row();
  rows.dst_step = ranked_.block;
  rows.room = scratch + round_up(middle_.size(), 16);
  if (stages_.depthwise() == 1) return run_first(strip, source, out, rows);
  run_two(strip, source, out, rows, scratch);
}

void Bf16Between::run_first(std::int64_t strip, const Source& source, Rows out, Bf16Depthwise::Rows rows) const {
  const Window& w = stages_.depthwise(0).window;
  const std::int64_t at = source_.pixel(out.begin * w.strides[0] - w.pads[0] - source.first_row, -w.pads[1]);
  rows.src_bf16 = source.reduced == nullptr;
  rows.src = rows.src_bf16 ? static_cast<const void*>(source.input + at) : source.reduced + at;
  rows.src_row = w.strides[0] * source_.row();
  rows.rows = out.count();
  rows.pixels = stages_.depthwise(0).out_w;
  kernels_[0].run(strip, rows, 0);
}

void Bf16Between::run_two(std::int64_t strip, const Source& source, Rows out, Bf16Depthwise::Rows to,
                          float* middle) const {
  const Window& w = stages_.depthwise(1).window;
  to.src = middle + middle_.pixel(0, 0);
  to.src_row = w.strides[0] * middle_.row();
  to.pixels = ranked_.w;
  Bf16Depthwise::Rows between{};
  between.dst_row = middle_.row();
  between.dst_step = middle_.block;
  if (stages_.row_by_row()) {
    // What is between the two stays in the first-level cache.
    between.dst = middle + middle_.origin();
    Bf16* const first = static_cast<Bf16*>(to.dst);
    for (std::int64_t y = out.begin; y < out.end; y += kPairRows) {
      const Rows few{y, std::min(out.end, y + kPairRows)};
      run_first(strip, source, few, between);
      to.rows = few.count();
      to.dst = first + (y - out.begin) * ranked_.row();
      kernels_[1].run(strip, to, 0);
    }
    return;
  }
  // Rows outside of the image are padding.
  const Rows wanted = input_rows(stages_.depthwise(1), out), inside = stages_.middle_rows(out);
  const auto row = [&](std::int64_t y) { return middle + (y - wanted.begin) * middle_.row(); };
  std::fill(row(wanted.begin), row(inside.begin), 0.0f);
  std::fill(row(inside.end), row(wanted.end), 0.0f);
  between.dst = row(inside.begin) + middle_.halo.left * middle_.block;
  if (inside.count() > 0) run_first(strip, source, inside, between);
  to.rows = out.count();
  kernels_[1].run(strip, to, 0);
}

}  // namespace polyadic

// The CP block by bfloat16 kernels: both 1×1 stages by pairs, the depthwise stages between them in float32, and their
// result rounded straight into the layout that the expand stage reads in pairs. Over a band of output rows of some
// images, a part of the rank at a time: reduce to float32, depthwise, round; then expand over the whole rank. Rows of
// the reduced value that the next band needs again are kept, for every part of the rank.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "../../core/cpu_features.h"
#include "../../core/status.h"
#include "../epilogue.h"
#include "between.h"
#include "cp_stages.h"
#include "layer.h"

namespace polyadic {
namespace {

std::int64_t aligned(std::int64_t floats) { return round_up(floats, 16); }

class Bf16CpBlock : public Step {
 public:
  Bf16CpBlock(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        stages_(spec, resources),
        between_(stages_),
        epilogue_(spec, resources) {
    measure_rows(spec.maxout);
    choose_band();
    make_kernels(spec.maxout);
  }

  void pack(const Context& context) override {
    std::size_t narrow = 0;
    for (const CpStage& stage : stages_.all()) {
      const float* weight = stage.weight->data.data();
      const float* bias = stage.bias ? stage.bias->data.data() : nullptr;
      if (&stage == &stages_.all().back()) {
        expand_.pack(context, weight, bias);
      } else if (stage.depthwise) {
        between_.pack(narrow++, weight, bias);
      } else if (in_.bf16) {
        reduce_.pack(context, weight, bias);
      } else {
        first_.pack(context, weight, bias);
      }
    }
  }

  void packed_for_good() override { first_.release_indices(); }

  void forward(const Context& context) override {
    const Layout& out = epilogue_.out().layout;
    const std::int64_t groups = (out.n + images_ - 1) / images_;
    // Few images: their rows are shared out as well, at the price of recomputing the rows between two chunks.
    const std::int64_t chunks = std::clamp<std::int64_t>((context.threads() + groups - 1) / groups, 1,
                                                         images_ > 1 ? 1 : (out.h + band_ - 1) / band_ * 2);
    const std::int64_t rows = (out.h + chunks - 1) / chunks;
    context.parallel(
        groups * chunks,
        [&](std::int64_t index, int thread) {
          const std::int64_t image = index / chunks * images_;
          const Rows chunk{index % chunks * rows, std::min(out.h, (index % chunks + 1) * rows)};
          run_chunk(image, std::min(images_, out.n - image), chunk, context.scratch(thread));
        },
        Bf16Gather::scope());
  }

  std::string kernel() const override {
    std::string text = std::string("bf16 (") + bf16_kernels().name + ") fused";
    for (const CpStage& stage : stages_.all())
      text += (stage.depthwise ? " dw" : " ") + window_name(stage.shape.window);
    return text + ", bands of " + std::to_string(band_) + " rows × " + std::to_string(images_) + " images" +
           epilogue_.name();
  }
  std::string why() const override { return why_; }
  std::size_t weight_bytes() const override {
    return reduce_.weight_bytes() + first_.weight_bytes() + between_.weight_bytes() + expand_.gather().weight_bytes();
  }
  std::size_t scratch_floats() const override { return static_cast<std::size_t>(memory_.end); }

 private:
  // Lays scratch memory out for a band of rows of some images.
  void lay_out(std::int64_t band, std::int64_t images) {
    const int lanes = bf16_lanes();
    const Rows out{0, band};
    // Counted as if nothing lay outside of the image.
    const Rows reduced = stages_.all_reduced_rows(out);
    reduced_ = Layout{even_ ? 1 : images, part_strips_ * lanes, reduced.count(), stages_.head().out_w, lanes, {}};
    if (stages_.depthwise() > 0) reduced_.halo = column_halo(stages_.depthwise(0));
    if (even_) reduced_.halo = {0, in_.layout.halo.left, 0, in_.layout.halo.right};
    ranked_ = ranked_layout(images, band);
    between_.lay_out(band, ranked_);
    const bool again = band < stages_.expand().out_h && stages_.depthwise() > 0 && stages_.has_head() && in_.bf16;
    const Rows next = stages_.all_reduced_rows({band, 2 * band});
    kept_rows_ = again ? std::max<std::int64_t>(0, reduced.end - next.begin) : 0;
    memory_.lists = aligned(static_cast<std::int64_t>(Bf16Layer::scratch_floats()));
    const std::int64_t pixels = stages_.has_head() ? reduced_.n * reduced_.h * reduced_.row() / lanes : 0;
    memory_.rows = aligned(memory_.lists + std::max(2 * pixels, 3 * ranked_.h * ranked_.w) * kPointer);
    memory_.reduced = aligned(memory_.rows + std::max((pixels + kMatrixRows) * reduce_row_, kBand * expand_row_));
    memory_.between = aligned(memory_.reduced + (stages_.has_head() ? reduced_.size() : 0));
    memory_.ranked = aligned(memory_.between + between_.scratch_floats());
    memory_.kept = aligned(memory_.ranked + (ranked_.size() + kBf16PixelsBehind * ranked_.block) / 2);
    memory_.end = aligned(memory_.kept + strips() * images * kept_rows_ * reduced_.row());
  }

  // All images' pixels one behind the other.
  Layout ranked_layout(std::int64_t images, std::int64_t rows) const {
    return Layout{1, stages_.ranked_width(), images * rows, stages_.expand().in_w, bf16_block(), {}};
  }

  // Room that rows of pixels take where tiles read them, before anything is known about bands.
  void measure_rows(Maxout maxout) {
    if (!bf16_kernels().matrix) return;
    const Layout reduced{1, stages_.width(), 1, 1, bf16_lanes(), {}};
    if (stages_.has_head() && in_.bf16) reduce_row_ = static_cast<std::int64_t>(make_reduce(reduced).row_floats());
    const Bf16Layer expand(stages_.expand(), {ranked_layout(1, 1), stages_.ranked()}, epilogue_, maxout);
    expand_row_ = static_cast<std::int64_t>(expand.gather().row_floats());
  }

  Bf16Gather make_reduce(const Layout& reduced) const {
    return Bf16Gather(stages_.head(), {in_.layout, ChannelPlaces::dense(in_.layout.c)}, {reduced, stages_.rank()}, {},
                      0);
  }

  // As many rows as the second-level cache has room for beside input and output, and of small images several together.
  void choose_band() {
    constexpr std::int64_t kFloat = sizeof(float);
    const std::int64_t budget = second_level_cache_bytes() / kFloat * 5 / 8;
    const Layout& out = epilogue_.out().layout;
    const std::int64_t most = bf16_kernels().matrix ? kMatrixBlocks : kMaxBlocks;
    part_strips_ = in_.bf16 ? std::min<std::int64_t>(most, strips()) : strips();
    even_ = reads_evenly();
    const auto size = [&](std::int64_t band, std::int64_t images) {
      lay_out(band, images);
      return memory_.end - memory_.rows;
    };
    band_ = out.h;
    while (band_ > 1 && size(band_, 1) > budget) band_ = (band_ + 1) / 2;
    const std::int64_t wanted = std::max<std::int64_t>(1, 4 * kBand / std::max<std::int64_t>(out.h * out.w, 1));
    if (band_ == out.h) {
      while (images_ < std::min(out.n, wanted) && size(band_, images_ + 1) <= budget) ++images_;
    }
    const std::int64_t chosen = size(band_, images_);
    why_ = bands_reason(band_, out.h, chosen * kFloat, budget * kFloat, "five eighths");
  }

  void make_kernels(Maxout maxout) {
    between_.make_kernels(stages_.has_head() ? reduced_ : in_.layout);
    expand_ = Bf16Layer(stages_.expand(), {ranked_, stages_.ranked()}, epilogue_, maxout);
    if (!stages_.has_head()) return;
    ConvolutionShape head = stages_.head();
    Layout reduced = reduced_;
    if (in_.bf16) {
      reduced.c = stages_.width();
      reduce_ = make_reduce(reduced);
      return;
    }
    // In float32, in coordinates of a band: row 0 of its input is the first that row 0 of its output reads. What pads
    // the last block is no channel of the stage.
    reduced.c = head.out_channels;
    head.out_h = reduced_.h;
    head.in_h = input_rows(head, {0, reduced_.h}).count();
    head.window.pads[0] = head.window.pads[2] = 0;
    first_ = Gather(head, Gather::Direction::forward, in_.layout, reduced);
  }

  // Whether the first stage goes over whole planes, the columns between rows with them: where tiles read its input in
  // place, and it lies with the same columns around as what is reduced. Then an image at a time, as long as that fills
  // tiles.
  bool reads_evenly() const {
    if (!bf16_kernels().matrix || !stages_.has_head() || !in_.bf16 || in_.layout.block != bf16_block()) return false;
    if (stages_.depthwise() == 0) return false;  // what is reduced is rounded as it lies, with no columns around it
    const Layout& in = in_.layout;
    const Halo wanted = column_halo(stages_.depthwise(0));
    const std::int64_t pitch = in.row() / in.block, pixels = in.h * pitch;
    return in.halo.left >= wanted.left && in.halo.right >= wanted.right &&
           4 * in.h * in.w >= 3 * round_up(pixels, kMatrixRows);
  }

  struct Band {
    std::int64_t image, images;
    Rows out;
    Rows reduced;       // what scratch memory holds
    Rows computed;      // what of it is to be computed
    std::int64_t kept;  // rows at the top that were kept
    Rows next;          // of the band after this one; empty: there is none
    float* scratch;
    std::int64_t slot = 0;  // of the first image among those that are expanded together
  };

  void run_chunk(std::int64_t image, std::int64_t images, Rows chunk, float* scratch) const {
    if (stages_.has_head()) clear_halo(reduced_, scratch + memory_.reduced);
    between_.clear(scratch + memory_.between);
    clear_unused_strips(scratch);
    Rows held;
    for (std::int64_t y = chunk.begin; y < chunk.end; y += band_) {
      Band band{image, images, {y, std::min(chunk.end, y + band_)}, {}, {}, 0, {}, scratch};
      band.reduced = stages_.reduced_rows(band.out);
      if (kept_rows_ > 0 && held.count() > 0)
        band.kept = std::max<std::int64_t>(0, std::min(held.end, band.reduced.end) - band.reduced.begin);
      held = band.reduced;
      if (band.out.end < chunk.end)
        band.next = stages_.reduced_rows({band.out.end, std::min(chunk.end, band.out.end + band_)});
      run_band(band);
    }
  }

  void run_band(Band& band) const {
    if (stages_.has_head()) {
      run_head(band);
    } else {
      run_part(band, 0, strips());
    }
    run_expand(band);
  }

  float* reduced(const Band& band) const { return band.scratch + memory_.reduced; }

  // The first stage, a part of the rank at a time, each part followed by its depthwise stages.
  void run_head(Band& band) const {
    const Rows inside = band.reduced.within(stages_.head().out_h);
    band.computed = {std::max(inside.begin, band.reduced.begin + band.kept), inside.end};
    // Rows outside of the image are padding.
    zero_rows(band, band.reduced.begin, inside.begin);
    zero_rows(band, inside.end, band.reduced.end);
    if (!in_.bf16) {
      run_first(band);
      run_part(band, 0, strips());
      return;
    }
    if (!even_) return run_reduce(band);
    for (std::int64_t n = 0; n < band.images; ++n) {
      Band one = band;  // in the same memory, one after the other
      one.image = band.image + n;
      one.images = 1;
      one.slot = n;
      run_reduce(one);
    }
  }

  void run_reduce(const Band& band) const {
    const std::int64_t columns = even_ ? reduced_.row() / reduced_.block : reduced_.w;
    const std::int64_t pixels = band.images * std::max<std::int64_t>(0, band.computed.count()) * columns;
    const Bf16** from = reinterpret_cast<const Bf16**>(band.scratch + memory_.lists);
    void** to = reinterpret_cast<void**>(band.scratch + memory_.lists + pixels * kPointer);
    list_head(band, columns, from, to);
    const Bf16Source source = reduce_.source(from, pixels, band.scratch + memory_.rows);
    for (std::size_t part = 0; part < reduce_.parts(); ++part) {
      const std::int64_t first = reduce_.first_strip(part), count = reduce_.strips(part);
      if (band.kept > 0) restore(band, first, count);
      for (std::int64_t p = 0; p < pixels; p += kBand)
        reduce_.run(part, source, p, to + p, static_cast<int>(std::min<std::int64_t>(kBand, pixels - p)), band.scratch);
      if (columns > reduced_.w) clear_columns(band, count);
      run_part(band, first, count);
      if (kept_rows_ > 0 && band.next.count() > 0) keep(band, first, count);
    }
  }

  // The first `columns` of rows: with those around them from the left one on.
  void list_head(const Band& band, std::int64_t columns, const Bf16** from, void** to) const {
    const Layout& in = in_.layout;
    const std::int64_t left = columns > reduced_.w ? reduced_.halo.left : 0;
    for (std::int64_t n = 0; n < band.images; ++n) {
      for (std::int64_t y = band.computed.begin; y < band.computed.end; ++y) {
        const Bf16* src = in_.half() + in.at(band.image + n) + in.pixel(y, -left);
        float* dst = reduced(band) + reduced_.at(n) + reduced_.pixel(y - band.reduced.begin, -left);
        for (std::int64_t x = 0; x < columns; ++x) {
          *from++ = src + x * in.block;
          *to++ = dst + x * reduced_.block;
        }
      }
    }
  }

  // Around rows that were computed with the columns around them: a bias is no padding.
  void clear_columns(const Band& band, std::int64_t count) const {
    const std::int64_t left = reduced_.halo.left * reduced_.block, right = reduced_.halo.right * reduced_.block;
    each_plane(band, count, [&](std::int64_t, std::int64_t, float* plane) {
      for (std::int64_t y = band.computed.begin; y < band.computed.end; ++y) {
        float* row = plane + (y - band.reduced.begin) * reduced_.row();
        std::fill_n(row, left, 0.0f);
        std::fill_n(row + reduced_.row() - right, right, 0.0f);
      }
    });
  }

  void run_first(const Band& band) const {
    if (band.computed.count() <= 0) return;
    const std::int64_t source = input_rows(stages_.head(), band.computed).begin;
    const float* src = in_.data + in_.layout.image() * band.image + source * in_.layout.row();
    float* dst = reduced(band) + (band.computed.begin - band.reduced.begin) * reduced_.row();
    const std::int64_t whole = reduced_.h * reduced_.w;
    for (std::int64_t n = 0; n < band.images; ++n)
      first_.run_range(src, dst, n * whole, n * whole + band.computed.count() * reduced_.w, 0, band.scratch);
  }

  // What is between the products, of some strips of the rank.
  void run_part(const Band& band, std::int64_t first, std::int64_t count) const {
    for (std::int64_t s = 0; s < count; ++s) {
      for (std::int64_t n = 0; n < band.images; ++n)
        between_.run(first + s, source(band, n, first, s), band.out, ranked(band, n, first + s),
                     band.scratch + memory_.between);
    }
  }

  // Strip s of those from `first` on, which alone are in memory where they are computed.
  Bf16Between::Source source(const Band& band, std::int64_t n, std::int64_t first, std::int64_t s) const {
    if (!stages_.has_head())
      return {nullptr, in_.half() + in_.layout.at(band.image + n) + bf16_strip(in_.layout, first + s), 0};
    return {reduced(band) + reduced_.at(n) + s * reduced_.plane(), nullptr, band.reduced.begin};
  }

  // Of the rank.
  std::int64_t strips() const { return stages_.width() / bf16_lanes(); }

  Bf16* ranked(float* scratch) const { return reinterpret_cast<Bf16*>(scratch + memory_.ranked); }
  // Where a strip of an image begins among what the expand stage reads.
  Bf16* ranked(const Band& band, std::int64_t n, std::int64_t strip) const {
    const std::int64_t place = stages_.ranked().place(stages_.rank().channel(strip * bf16_lanes()));
    return ranked(band.scratch) + ranked_.channel(place) + ranked_.pixel((band.slot + n) * band.out.count(), 0);
  }

  // As clear_unused_strips() of values, where each group of the rank has blocks of its own.
  void clear_unused_strips(float* scratch) const {
    const ChannelPlaces& places = stages_.ranked();
    const std::int64_t lanes = bf16_lanes(), used = round_up(places.group, lanes);
    const std::int64_t group = round_up(places.stride, ranked_.block);
    if (used == group) return;
    for (std::int64_t end = group; end <= stages_.ranked_width(); end += group)
      std::fill_n(ranked(scratch) + (end / ranked_.block - 1) * ranked_.plane(), ranked_.plane(), Bf16{0});
  }

  void run_expand(const Band& band) const {
    const std::int64_t pixels = band.images * band.out.count() * epilogue_.out().layout.w;
    const Bf16** from = reinterpret_cast<const Bf16**>(band.scratch + memory_.lists);
    void** to = reinterpret_cast<void**>(band.scratch + memory_.lists + pixels * kPointer);
    const void** residual = reinterpret_cast<const void**>(band.scratch + memory_.lists + 2 * pixels * kPointer);
    list_expand(band, pixels, from, to, residual);
    const Bf16Gather& gather = expand_.gather();
    const auto run = [&](std::size_t part, const Bf16Source& source, std::int64_t first, std::int64_t p) {
      const int count = static_cast<int>(std::min<std::int64_t>(kBand, pixels - p));
      expand_.run(part, source, first, count, to + p, residual + p, band.scratch);
    };
    // Planes are written far along one after the other: all of them in turn would be too many for what the processor
    // foresees. Elsewhere what is read stays in the first-level cache.
    if (epilogue_.to_planes() && gather.reads_in_place()) {
      const Bf16Source source = gather.source(from, pixels, nullptr);
      for (std::size_t part = 0; part < gather.parts(); ++part) {
        for (std::int64_t p = 0; p < pixels; p += kBand) run(part, source, p, p);
      }
      return;
    }
    for (std::int64_t p = 0; p < pixels; p += kBand) {
      const Bf16Source source =
          gather.source(from + p, std::min<std::int64_t>(kBand, pixels - p), band.scratch + memory_.rows);
      for (std::size_t part = 0; part < gather.parts(); ++part) run(part, source, 0, p);
    }
  }

  void list_expand(const Band& band, std::int64_t pixels, const Bf16** from, void** to, const void** residual) const {
    const Layout& out = epilogue_.out().layout;
    const PixelOrder order = PixelOrder::dense(out);
    const Bf16* const src = ranked(band.scratch);
    for (std::int64_t p = 0; p < pixels; ++p) from[p] = src + p * ranked_.block;
    const std::int64_t each = pixels / band.images;
    for (std::int64_t n = 0; n < band.images; ++n) {
      const std::int64_t begin = ((band.image + n) * out.h + band.out.begin) * out.w;
      epilogue_.list(order, begin, begin + each, to + n * each, residual + n * each);
    }
  }

  template <class F>
  void each_plane(const Band& band, std::int64_t count, F&& f) const {
    for (std::int64_t n = 0; n < std::min(band.images, reduced_.n); ++n) {
      for (std::int64_t s = 0; s < count; ++s) f(n, s, reduced(band) + n * reduced_.image() + s * reduced_.plane());
    }
  }

  void zero_rows(const Band& band, std::int64_t begin, std::int64_t end) const {
    each_plane(band, part_strips_, [&](std::int64_t, std::int64_t, float* plane) {
      std::fill(plane + (begin - band.reduced.begin) * reduced_.row(),
                plane + (end - band.reduced.begin) * reduced_.row(), 0.0f);
    });
  }

  float* kept(const Band& band, std::int64_t n, std::int64_t strip) const {
    return band.scratch + memory_.kept + (strip * images_ + n) * kept_rows_ * reduced_.row();
  }
  void keep(const Band& band, std::int64_t first, std::int64_t count) const {
    const std::int64_t rows = band.reduced.end - band.next.begin;
    if (rows <= 0) return;
    each_plane(band, count, [&](std::int64_t n, std::int64_t s, const float* plane) {
      std::copy_n(plane + (band.next.begin - band.reduced.begin) * reduced_.row(), rows * reduced_.row(),
                  kept(band, n, first + s));
    });
  }
  void restore(const Band& band, std::int64_t first, std::int64_t count) const {
    each_plane(band, count, [&](std::int64_t n, std::int64_t s, float* plane) {
      std::copy_n(kept(band, n, first + s), band.kept * reduced_.row(), plane);
    });
  }

  static constexpr std::int64_t kPointer = sizeof(void*) / sizeof(float);  // floats that a pointer takes
  // Where things lie in scratch memory, in floats.
  struct Memory {
    std::int64_t lists, rows, reduced, between, ranked, kept, end;
  };

  Value& in_;
  Bf16CpStages stages_;
  Bf16Between between_;
  Bf16Epilogue epilogue_;
  std::int64_t part_strips_ = 1;
  bool even_ = false;
  std::int64_t band_ = 1, images_ = 1, kept_rows_ = 0;
  std::int64_t reduce_row_ = 0, expand_row_ = 0;  // floats of a pixel's row as tiles read it
  Memory memory_{};
  std::string why_;  // these bands
  Layout reduced_;   // float32, a part of the rank, of a band
  Layout ranked_;    // bfloat16, all of the rank, of a band, in blocks that tiles read as they lie
  Bf16Gather reduce_;
  Gather first_;
  Bf16Layer expand_;
};

}  // namespace

std::unique_ptr<Step> make_bf16_cp_block(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16CpBlock>(spec, resources);
}

}  // namespace polyadic

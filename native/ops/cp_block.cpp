// The CP block: a chain of thin convolutions (reduce 1×1 → depthwise k×1 → depthwise 1×k → expand 1×1, or a part of it)
// run as one operator over bands of output rows. The values between the stages live in scratch memory sized for the
// second-level cache and never reach main memory; rows that the next band needs are kept, not computed again. Where it
// pays, the rank is blocked too: see choose_order.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "../core/cpu_features.h"
#include "../core/status.h"
#include "cp_stages.h"
#include "depthwise.h"
#include "epilogue.h"
#include "gather.h"
#include "step.h"

namespace polyadic {
namespace {

// One stage, in coordinates local to a band: row 0 of its input is the first row that row 0 of its output reads.
struct Stage : CpStage {
  Gather wide;
  Depthwise narrow;
  // Between this stage and the next: where its output lies in scratch memory. Unused for the last stage.
  Layout layout;
  std::int64_t offset = 0;
  bool front = false;   // there is room for one panel of its channels, which the next stage takes at once
  bool paired = false;  // there is room for a few rows of a block, which the next stage takes at once

  std::int64_t capacity = 0;  // output rows of a full band

  // f(first, end) for the ranges of the pixel grid that output rows [0, rows) of some images are: one range, where the
  // band is full.
  template <class F>
  void each_range(std::int64_t images, std::int64_t rows, F&& f) const {
    const std::int64_t whole = capacity * shape.out_w;
    if (rows == capacity) return f(0, images * whole);
    for (std::int64_t n = 0; n < images; ++n) f(n * whole, n * whole + rows * shape.out_w);
  }

  // Output rows [0, rows) of some images; not for depthwise stages.
  void run(const float* src, float* dst, std::int64_t images, std::int64_t rows, int options, float* scratch) const {
    each_range(images, rows,
               [&](std::int64_t first, std::int64_t end) { wide.run_range(src, dst, first, end, options, scratch); });
  }
};

// What a stage does for a band.
struct Part {
  const float* src = nullptr;
  float* dst = nullptr;
  std::int64_t rows = 0;
};

constexpr std::size_t kMaxStages = 8;
using BandRows = std::array<Rows, kMaxStages>;

class CpBlock : public Step {
 public:
  CpBlock(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]),
        block_(kernels().f32.block),
        epilogue_(spec, resources) {
    if (resources.training) throw Error(ErrorCode::argument, "cp_block: training plans take its stages one by one");
    make_shapes(spec, resources);
    find_pairs();
    choose_order();
    make_kernels(spec.maxout);
  }

  void pack(const Context& context) override {
    for (Stage& stage : stages_) {
      const float* bias = stage.bias ? stage.bias->data.data() : nullptr;
      if (stage.depthwise) {
        stage.narrow.pack(stage.weight->data.data(), bias);
      } else {
        stage.wide.pack(context, stage.weight->data.data(), bias);
      }
    }
  }

  void packed_for_good() override {
    for (Stage& stage : stages_) stage.wide.release_indices();
  }
  std::size_t share_weights(WeightStore& store) override {
    std::size_t saved = 0;
    for (Stage& stage : stages_) {
      if (!stage.depthwise) saved += stage.wide.share_weights(store);
    }
    return saved;
  }

  void forward(const Context& context) override {
    const std::int64_t height = out_.layout.h;
    const std::int64_t groups = (out_.layout.n + images_ - 1) / images_;
    // Few images: their rows are shared out as well, at the price of recomputing the rows between two chunks.
    const std::int64_t chunks = std::clamp<std::int64_t>((context.threads() + groups - 1) / groups, 1,
                                                         images_ > 1 ? 1 : (height + band_ - 1) / band_ * 2);
    const std::int64_t rows = (height + chunks - 1) / chunks;
    context.parallel(groups * chunks, [&](std::int64_t index, int thread) {
      const std::int64_t image = index / chunks * images_;
      const Rows chunk{index % chunks * rows, std::min(height, (index % chunks + 1) * rows)};
      run_chunk(image, std::min(images_, out_.layout.n - image), chunk, context.scratch(thread));
    });
    if (!finishes_bands()) epilogue_.finish(context);
  }

  std::string kernel() const override {
    std::string text = "fused";
    for (const Stage& stage : stages_) text += (stage.depthwise ? " dw" : " ") + window_name(stage.shape.window);
    return text + ", bands of " + std::to_string(band_) + " rows" +
           (images_ > 1 ? " of " + std::to_string(images_) + " images" : "") +
           (by_panels_ ? ", a panel of the rank at a time" : "") + (in_.layout.block == block_ ? "" : ", from planes") +
           (out_.layout.block == block_ ? "" : ", to planes") + epilogue_.name();
  }
  std::string why() const override { return why_; }
  std::size_t weight_bytes() const override {
    std::size_t bytes = 0;
    for (const Stage& stage : stages_)
      bytes += stage.depthwise ? stage.narrow.weight_bytes() : stage.wide.weight_bytes();
    return bytes;
  }
  std::size_t scratch_floats() const override { return Gather::scratch_floats() + between_floats_ + list_floats_; }

 private:
  void make_shapes(const StepSpec& spec, StepResources resources) {
    if (spec.stages.size() > kMaxStages)
      throw Error(ErrorCode::unsupported, "cp_block: more than " + std::to_string(kMaxStages) + " stages");
    for (const CpStage& one : cp_stages(spec, resources)) {
      Stage stage;
      static_cast<CpStage&>(stage) = one;
      const bool last = stages_.size() + 1 == spec.stages.size();
      stage.depthwise = one.shape.depthwise() && !last && (!stages_.empty() || in_.layout.block == block_);
      stages_.push_back(std::move(stage));
    }
    const Window& last = spec.stages.back().window;
    if (last.kernel[0] != 1 || last.kernel[1] != 1)
      throw Error(ErrorCode::shape, "cp_block: the stages do not lead to the output's shape");
  }

  // A k×1 and a 1×k run row by row, as one: what is between them never leaves the first-level cache.
  void find_pairs() {
    for (std::size_t i = 0; i + 2 < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      const Stage& next = stages_[i + 1];
      const Window& w = next.shape.window;
      const bool own_rows = w.kernel[0] == 1 && w.strides[0] == 1 && w.pads[0] == 0 && w.pads[2] == 0;
      stage.paired = stage.depthwise && next.depthwise && own_rows && Depthwise::takes_rows(stage.shape) &&
                     Depthwise::takes_rows(next.shape) && (i == 0 || !stages_[i - 1].paired);
    }
  }

  // Lays the values between the stages out for a band of rows of some images; returns the floats they take. With
  // `front`, the stages before the last but one have room for one panel of the rank only.
  std::int64_t lay_out(std::int64_t band, std::int64_t images, bool front) {
    std::int64_t floats = 0, rows = band;
    const std::size_t last = stages_.size() - 1;
    for (std::size_t i = last; i-- > 0;) {
      const Stage& next = stages_[i + 1];
      Stage& stage = stages_[i];
      rows = input_rows(next.shape, {0, rows}).count();
      stage.front = front && i + 1 < last;
      stage.layout = Layout{images, stage.shape.out_channels, rows, stage.shape.out_w, block_, {}};
      if (stage.front) stage.layout.c = std::min<std::int64_t>(stage.layout.c, panel_channels());
      if (stage.paired) stage.layout = Layout{1, block_, kPairRows, stage.shape.out_w, block_, {}};
      stage.layout.halo = column_halo(next.shape);
      stage.offset = floats;
      floats += round_up(stage.layout.size(), 16);
    }
    return floats;
  }

  // Channels of the largest panel.
  static std::int64_t panel_channels() { return kernels().f32.blocks * kernels().f32.block; }

  // In which order, with how many rows and images at a time.
  //
  // Stage by stage, the values between the stages have to stay in the second-level cache: as many rows as half of it
  // holds and, of small images, several together, so that the expand stage has enough pixels for its tiles.
  // By panels of the rank, most of them stay in the first level, but each panel reads the whole input of the band,
  // which is then what the second level has to hold.
  // By panels with a front, over a whole image at once, nothing but the expand stage's input is ever complete. That is
  // written once and read once, in order, and may spill: bands of very few rows cost more.
  void choose_order() {
    constexpr std::int64_t kFloat = sizeof(float);
    const std::int64_t cache = second_level_cache_bytes() / kFloat, budget = cache / 2;
    const std::int64_t height = out_.layout.h, area = height * out_.layout.w;
    const std::size_t last = stages_.size() - 1;
    const bool panels = last > 1 && !stages_[0].depthwise &&
                        std::all_of(stages_.begin() + 1, stages_.end() - 1, [](const Stage& s) { return s.depthwise; });
    const auto input = [&] { return images_ * band_input(band_).count() * in_.layout.row() * in_.layout.blocks(); };
    const std::int64_t wanted =
        std::min(out_.layout.n, std::max<std::int64_t>(1, kBand / 2 / std::max<std::int64_t>(area, 1)));
    band_ = height;
    const std::int64_t whole = input(), spilling = lay_out(height, 1, true);
    bool front = panels && wanted == 1 && whole <= cache && spilling <= 3 * cache;
    if (!front) {
      while (band_ > 1 && lay_out(band_, 1, false) > budget) band_ = (band_ + 1) / 2;
      if (band_ == height) {
        while (images_ < wanted && lay_out(band_, images_ + 1, false) <= budget) ++images_;
      }
    }
    by_panels_ = front || (panels && input() <= cache);
    between_floats_ = static_cast<std::size_t>(lay_out(band_, images_, front));
    const auto kib = [&](std::int64_t floats) { return in_kib(floats * kFloat); };
    if (front) {
      why_ = "all rows at once: " + kib(whole) + " of input fit L2's " + kib(cache) + ", " + kib(spilling) +
             " between the stages are at most 3 times that";
    } else {
      const std::int64_t between = static_cast<std::int64_t>(between_floats_);
      why_ = bands_reason(band_, height, between * kFloat, budget * kFloat, "half") + "; ";
      why_ += !panels ? "stage by stage, as it is no reduce, depthwise, expand chain"
                      : (by_panels_ ? "a panel of the rank at a time, as " : "stage by stage, as ") + kib(input()) +
                            " of input " + (by_panels_ ? "fit it" : "do not fit it");
    }
    constexpr std::int64_t kPixel = 2 * sizeof(void*) / kFloat;  // floats of a listed pixel
    const Layout& first = stages_[0].layout;
    list_floats_ = by_panels_ ? static_cast<std::size_t>(images_ * first.h * first.w * kPixel) : 0;
  }

  // Input rows of a band.
  Rows band_input(std::int64_t band) const {
    Rows rows{0, band};
    for (std::size_t i = stages_.size(); i-- > 0;) rows = {0, input_rows(stages_[i].shape, rows).count()};
    return rows;
  }

  void make_kernels(Maxout maxout) {
    std::int64_t rows = band_;
    for (std::size_t i = stages_.size(); i-- > 0;) {
      Stage& stage = stages_[i];
      const bool last = i + 1 == stages_.size();
      ConvolutionShape local = stage.shape;
      local.out_h = stage.capacity = rows;
      local.in_h = rows = input_rows(stage.shape, {0, rows}).count();
      local.window.pads[0] = local.window.pads[2] = 0;
      const Layout src = i == 0 ? in_.layout : whole(stages_[i - 1]);
      Layout dst = last ? out_.layout : whole(stage);
      dst.block = block_;
      if (stage.depthwise) {
        stage.narrow = Depthwise(local, Gather::Direction::forward, src, dst);
      } else {
        stage.wide = Gather(local, Gather::Direction::forward, src, dst, last ? maxout : Maxout{});
        if (stage.front) stage.wide.share_front();
        if (last && out_.layout.block != block_) stage.wide.write_planes(out_.layout);
      }
    }
  }

  // The layout of a stage's output as it would be with all its channels.
  static Layout whole(const Stage& stage) {
    Layout layout = stage.layout;
    layout.c = stage.shape.out_channels;
    return layout;
  }

  void run_chunk(std::int64_t image, std::int64_t images, Rows chunk, float* scratch) const {
    float* between = scratch + Gather::scratch_floats();
    for (std::size_t i = 0; i + 1 < stages_.size(); ++i) clear_halo(stages_[i].layout, between + stages_[i].offset);
    BandRows held;  // rows of each stage's output that scratch holds
    for (std::int64_t y = chunk.begin; y < chunk.end; y += band_) {
      run_band(image, images, {y, std::min(chunk.end, y + band_)}, held, scratch);
    }
  }

  // From the bottom: which rows each stage has to hold and which it lacks. Then those are computed.
  void run_band(std::int64_t image, std::int64_t images, Rows band, BandRows& held, float* scratch) const {
    float* between = scratch + Gather::scratch_floats();
    const std::size_t last = stages_.size() - 1;
    BandRows missing;
    missing[last] = band;
    for (std::size_t i = last; i-- > 0;) {
      const Rows wanted = input_rows(stages_[i + 1].shape, missing[i + 1]);
      missing[i] = stages_[i].paired ? wanted : keep(stages_[i], between + stages_[i].offset, held[i], wanted);
      held[i] = wanted;
    }
    std::array<Part, kMaxStages> parts;
    for (std::size_t i = 0; i <= last; ++i) {
      const Stage& stage = stages_[i];
      // Rows outside of the image are the next stage's padding.
      const Rows rows = missing[i].within(stage.shape.out_h);
      if (i < last && !stage.paired) {
        float* data = between + stage.offset;
        zero_rows(stage.layout, data, missing[i].begin - held[i].begin, rows.begin - held[i].begin);
        zero_rows(stage.layout, data, rows.end - held[i].begin, missing[i].end - held[i].begin);
      }
      if (rows.count() <= 0) continue;
      const std::int64_t source = input_rows(stage.shape, rows).begin;
      parts[i].src = i == 0
                         ? in_.data + image * in_.layout.image() + source * in_.layout.row()
                         : between + stages_[i - 1].offset + (source - held[i - 1].begin) * stages_[i - 1].layout.row();
      parts[i].dst =
          i == last ? out_.data + image * out_.layout.image() + rows.begin * out_.layout.row()
                    : between + stage.offset + (stage.paired ? 0 : (rows.begin - held[i].begin) * stage.layout.row());
      parts[i].rows = rows.count();
    }
    std::size_t next = 0;
    if (by_panels_) {
      run_panels(parts, images, scratch);
      next = last;
    }
    while (next <= last) {
      const Stage& stage = stages_[next];
      const Part& part = parts[next];
      if (stage.depthwise) {
        const std::int64_t blocks = (stage.shape.out_channels + block_ - 1) / block_;
        next = run_narrow(parts, next, images, {0, blocks, 0, 0});
        continue;
      }
      if (part.rows > 0 && next == last) {
        expand(part, image, images, band.begin, scratch);
      } else if (part.rows > 0) {
        stage.run(part.src, part.dst, images, part.rows, 0, scratch);
      }
      ++next;
    }
  }

  // The last stage: what its kernels cannot do is done to a few pixels at a time, while they are in the cache.
  void expand(const Part& part, std::int64_t image, std::int64_t images, std::int64_t first_row, float* scratch) const {
    const Stage& stage = stages_.back();
    const int options = epilogue_.fused_options();
    if (!finishes_bands()) return stage.run(part.src, part.dst, images, part.rows, options, scratch);
    stage.each_range(images, part.rows, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t at = first; at < end; at += kBand) {
        const std::int64_t stop = std::min(at + kBand, end);
        stage.wide.run_range(part.src, part.dst, at, stop, options, scratch);
        epilogue_.finish_pixels(image, first_row, stage.capacity, at, stop);
      }
    });
  }
  bool finishes_bands() const { return !epilogue_.is_done_by_kernels() && out_.layout.block == block_; }

  // Some channel blocks of a depthwise stage, and of the next one where the two are a pair; returns the stage after.
  std::size_t run_narrow(const std::array<Part, kMaxStages>& parts, std::size_t i, std::int64_t images,
                         const Depthwise::Blocks& blocks) const {
    const Stage& stage = stages_[i];
    const Part& part = parts[i];
    if (stage.paired) {
      if (part.rows > 0)
        stage.narrow.run_pair(stages_[i + 1].narrow, part.src, part.dst, parts[i + 1].dst, images, part.rows, blocks,
                              0);
      return i + 2;
    }
    if (part.rows > 0) stage.narrow.run_blocks(part.src, part.dst, images, part.rows, blocks, 0);
    return i + 1;
  }

  // All stages but the last, a panel of the rank at a time.
  void run_panels(const std::array<Part, kMaxStages>& parts, std::int64_t images, float* scratch) const {
    const Stage& first = stages_[0];
    const std::int64_t pixels = images * parts[0].rows * first.shape.out_w;
    float* lists = scratch + Gather::scratch_floats() + between_floats_;
    const float** from = reinterpret_cast<const float**>(lists);
    float** to = const_cast<float**>(from) + pixels;
    if (pixels > 0) {
      std::int64_t listed = 0;
      first.each_range(images, parts[0].rows, [&](std::int64_t begin, std::int64_t end) {
        first.wide.list(parts[0].src, parts[0].dst, begin, end, from + listed, to + listed);
        listed += end - begin;
      });
    }
    for (std::size_t panel = 0; panel < first.wide.panels(); ++panel) {
      first.wide.run_listed(panel, from, to, pixels, 0, scratch);
      const auto [block0, block1] = first.wide.panel_range(panel);
      for (std::size_t i = 1; i + 1 < stages_.size();) {
        const Stage& to = stages_[stages_[i].paired ? i + 1 : i];
        i = run_narrow(parts, i, images, {block0, block1, stages_[i - 1].front ? 0 : block0, to.front ? 0 : block0});
      }
    }
  }

  // Moves the rows that stay to the front and returns those that have to be computed.
  static Rows keep(const Stage& stage, float* data, Rows held, Rows wanted) {
    const std::int64_t kept = std::min(held.end, wanted.end) - wanted.begin;
    if (held.count() <= 0 || kept <= 0 || wanted.begin < held.begin) return wanted;
    const Layout& layout = stage.layout;
    for (std::int64_t plane = 0; plane < layout.n * layout.blocks(); ++plane) {
      float* at = data + plane * layout.plane();
      std::memmove(at, at + (wanted.begin - held.begin) * layout.row(),
                   static_cast<std::size_t>(kept * layout.row()) * sizeof(float));
    }
    return {wanted.begin + kept, wanted.end};
  }

  static void zero_rows(const Layout& layout, float* data, std::int64_t begin, std::int64_t end) {
    if (begin >= end) return;
    for (std::int64_t plane = 0; plane < layout.n * layout.blocks(); ++plane) {
      std::memset(data + plane * layout.plane() + begin * layout.row(), 0,
                  static_cast<std::size_t>((end - begin) * layout.row()) * sizeof(float));
    }
  }

  Value& in_;
  Value& out_;
  int block_;  // of the values between the stages; the input and the output may be plain
  Epilogue epilogue_;
  std::vector<Stage> stages_;
  std::int64_t band_ = 1, images_ = 1;
  std::size_t between_floats_ = 0, list_floats_ = 0;
  bool by_panels_ = false;
  std::string why_;  // this order
};

}  // namespace

std::unique_ptr<Step> make_cp_block(const StepSpec& spec, StepResources resources) {
  return std::make_unique<CpBlock>(spec, resources);
}

}  // namespace polyadic

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
#include "depthwise.h"
#include "layer.h"

namespace polyadic {
namespace {

struct Rows {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
  Rows within(std::int64_t extent) const {
    return {std::clamp<std::int64_t>(0, begin, end), std::clamp(extent, begin, end)};
  }
};

// Input rows that output rows of a stage need.
Rows input_rows(const ConvolutionShape& shape, Rows out) {
  const Window& w = shape.window;
  const std::int64_t first = out.begin * w.strides[0] - w.pads[0];
  return {first, first + (out.count() - 1) * w.strides[0] + (w.kernel[0] - 1) * w.dilations[0] + 1};
}

// Zero columns that a stage needs around rows of its input.
Halo column_halo(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  const std::int64_t reach = (shape.out_w - 1) * w.strides[1] - w.pads[1] + (w.kernel[1] - 1) * w.dilations[1];
  Halo halo;
  halo.left = w.pads[1];
  halo.right = std::max<std::int64_t>(0, reach - (shape.in_w - 1));
  return halo;
}

std::int64_t aligned(std::int64_t floats) { return (floats + 15) / 16 * 16; }

class Bf16CpBlock : public Step {
 public:
  Bf16CpBlock(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]), epilogue_(spec, resources) {
    make_stages(spec, resources);
    place_rank();
    measure_rows(spec.maxout);
    choose_band();
    make_kernels(spec.maxout);
  }

  void pack(const Context& context) override {
    for (Stage& stage : stages_) {
      const float* weight = stage.weight->data.data();
      const float* bias = stage.bias ? stage.bias->data.data() : nullptr;
      if (&stage == &stages_.back()) {
        expand_.pack(context, weight, bias);
      } else if (stage.depthwise) {
        stage.kernel.pack(weight, bias);
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
    for (const Stage& stage : stages_) text += (stage.depthwise ? " dw" : " ") + window_name(stage.shape.window);
    return text + ", bands of " + std::to_string(band_) + " rows × " + std::to_string(images_) + " images, " +
           std::to_string((memory_.end - memory_.reduced) * static_cast<std::int64_t>(sizeof(float)) / 1024) +
           " KiB between the stages" + epilogue_.name();
  }
  std::size_t weight_bytes() const override {
    std::size_t bytes = reduce_.weight_bytes() + first_.weight_bytes() + expand_.gather().weight_bytes();
    for (const Stage& stage : stages_) bytes += stage.kernel.weight_bytes();
    return bytes;
  }
  std::size_t scratch_floats() const override { return static_cast<std::size_t>(memory_.end); }

 private:
  struct Stage {
    ConvolutionShape shape;
    Parameter* weight;
    Parameter* bias;
    bool depthwise = false;
    Bf16Depthwise kernel;
  };

  void make_stages(const StepSpec& spec, StepResources resources) {
    Layout in = in_.layout;
    const Layout& out = epilogue_.out().layout;
    for (const ConvolutionSpec& conv : spec.stages) {
      Stage stage;
      stage.weight = &resources.parameters[static_cast<std::size_t>(conv.weight)];
      stage.bias = conv.bias < 0 ? nullptr : &resources.parameters[static_cast<std::size_t>(conv.bias)];
      const Window& w = conv.window;
      const std::int64_t out_h = output_extent(w, 0, in.h), out_w = output_extent(w, 1, in.w);
      if (conv.groups < 1 || in.c % conv.groups != 0)
        throw Error(ErrorCode::shape, "cp_block: groups do not divide the channels");
      const std::int64_t per_channel = in.c / conv.groups * w.kernel[0] * w.kernel[1];
      const std::int64_t channels = static_cast<std::int64_t>(stage.weight->data.size()) / per_channel;
      stage.shape = convolution_shape(conv, in, channels, out_h, out_w);
      if (stage.shape.weight_count() != static_cast<std::int64_t>(stage.weight->data.size()) ||
          (stage.bias && static_cast<std::int64_t>(stage.bias->data.size()) != channels)) {
        throw Error(ErrorCode::shape, "cp_block: a stage's weight or bias has the wrong number of elements");
      }
      const bool last = stages_.size() + 1 == spec.stages.size();
      // A rank of 1 is depthwise as well, but not an input of one channel, which is never blocked.
      const ConvolutionShape& shape = stage.shape;
      stage.depthwise = !last && shape.groups == shape.in_channels && shape.groups == shape.out_channels &&
                        (shape.groups > 1 || !stages_.empty());
      stages_.push_back(std::move(stage));
      in.c = channels;
      in.h = out_h;
      in.w = out_w;
    }
    has_head_ = !stages_[0].depthwise;
    depthwise_ = stages_.size() - 1 - (has_head_ ? 1 : 0);
    if (depthwise_ > 2) throw Error(ErrorCode::unsupported, "cp_block: more than two depthwise stages in bf16");
    for (std::size_t i = 1; i + 1 < stages_.size(); ++i) {
      if (!stages_[i].depthwise) throw Error(ErrorCode::unsupported, "cp_block: a stage between is not depthwise");
    }
    const auto pointwise = [](const Window& w) {
      return w.kernel[0] == 1 && w.kernel[1] == 1 && w.strides[0] == 1 && w.strides[1] == 1 && w.pads[0] == 0 &&
             w.pads[1] == 0 && w.pads[2] == 0 && w.pads[3] == 0;
    };
    if (!pointwise(stages_.back().shape.window) || in.c != out.c * spec.maxout.pieces || in.h != out.h || in.w != out.w)
      throw Error(ErrorCode::shape, "cp_block: the stages do not lead to the output's shape");
    if (in_.bf16 == (has_head_ && !pointwise(stages_[0].shape.window)))
      throw Error(ErrorCode::argument, "cp_block: the input is of the wrong kind for bf16");
    if (!has_head_ && in_.layout.block != out.block)
      throw Error(ErrorCode::argument, "cp_block: a depthwise stage needs a blocked input");
  }

  // Each group of the rank on blocks of its own, unless most of them would be padding.
  void place_rank() {
    const ConvolutionShape& expand = stages_.back().shape;
    const std::int64_t rank = expand.in_channels, block = epilogue_.out().layout.block;
    const auto whole = [&](std::int64_t count) { return (count + block - 1) / block * block; };
    const std::int64_t groups = std::max(expand.groups, has_head_ ? stages_[0].shape.groups : 1);
    rank_ = ChannelPlaces::dense(rank);
    width_ = whole(rank);
    // Without a reduce stage the input's layout is what there is.
    if (!has_head_ || !in_.bf16 || rank % groups != 0) return;
    const std::int64_t padded = whole(rank / groups) * groups;
    if (padded * 3 > whole(rank) * 4) return;
    rank_ = {rank / groups, padded / groups};
    width_ = padded;
  }

  const ConvolutionShape& depthwise_shape(std::size_t i) const { return stages_[i + (has_head_ ? 1 : 0)].shape; }
  const Bf16Depthwise& depthwise_kernel(std::size_t i) const { return stages_[i + (has_head_ ? 1 : 0)].kernel; }

  // Rows of what is reduced, and of what lies between two depthwise stages, that output rows need.
  Rows middle_rows(Rows out) const {
    return depthwise_ < 2 ? out : input_rows(depthwise_shape(1), out).within(depthwise_shape(1).in_h);
  }
  Rows reduced_rows(Rows out) const { return depthwise_ == 0 ? out : input_rows(depthwise_shape(0), middle_rows(out)); }

  // A second depthwise stage along rows takes each row as soon as the first has made it.
  bool row_by_row() const {
    const Window& w = depthwise_shape(1).window;
    return w.kernel[0] == 1 && w.strides[0] == 1 && w.pads[0] == 0;
  }

  // Lays scratch memory out for a band of rows of some images.
  void lay_out(std::int64_t band, std::int64_t images) {
    const int block = epilogue_.out().layout.block;
    const Rows out{0, band};
    // Counted as if nothing lay outside of the image.
    const Rows middle = depthwise_ < 2 ? out : input_rows(depthwise_shape(1), out);
    const Rows reduced = depthwise_ == 0 ? out : input_rows(depthwise_shape(0), middle);
    reduced_ = Layout{images, part_blocks_ * block, reduced.count(), stages_[0].shape.out_w, block, {}};
    if (depthwise_ > 0) reduced_.halo = column_halo(depthwise_shape(0));
    middle_ = Layout{1, block, 0, 0, block, {}};
    if (depthwise_ == 2) {
      middle_.h = row_by_row() ? 1 : middle.count();
      middle_.w = depthwise_shape(1).in_w;
      middle_.halo = column_halo(depthwise_shape(1));
    }
    ranked_ = ranked_layout(images, band);
    const bool again = band < stages_.back().shape.out_h && depthwise_ > 0 && has_head_ && in_.bf16;
    const Rows next = reduced_count({band, 2 * band});
    kept_rows_ = again ? std::max<std::int64_t>(0, reduced.end - next.begin) : 0;
    memory_.lists = aligned(static_cast<std::int64_t>(Bf16Layer::scratch_floats()));
    const std::int64_t pixels = has_head_ ? images * reduced_.h * reduced_.w : 0;
    memory_.rows = aligned(memory_.lists + 2 * pixels * kPointer);
    memory_.reduced = aligned(memory_.rows + std::max((pixels + kMatrixRows) * reduce_row_, kBand * expand_row_));
    memory_.middle = aligned(memory_.reduced + (has_head_ ? reduced_.size() : 0));
    memory_.ranked = aligned(memory_.middle + middle_.size());
    // Tiles read whole rows of pixels beyond the last one.
    memory_.kept = aligned(memory_.ranked + (ranked_.size() + (kMatrixRows + 1) * ranked_.block) / 2);
    memory_.end = aligned(memory_.kept + width_ / block * images * kept_rows_ * reduced_.row());
  }
  Rows reduced_count(Rows out) const {
    const Rows middle = depthwise_ < 2 ? out : input_rows(depthwise_shape(1), out);
    return depthwise_ == 0 ? out : input_rows(depthwise_shape(0), middle);
  }

  // Channels of a block of what the expand stage reads: tiles want 32 of a pixel side by side.
  int ranked_block() const { return bf16_kernels().matrix ? kMatrixDepth : epilogue_.out().layout.block; }
  Layout ranked_layout(std::int64_t images, std::int64_t rows) const {
    return Layout{images, width_, rows, stages_.back().shape.in_w, ranked_block(), {}};
  }

  // Room that rows of pixels take where tiles read them, before anything is known about bands.
  void measure_rows(Maxout maxout) {
    if (!bf16_kernels().matrix) return;
    const Layout reduced{1, width_, 1, 1, epilogue_.out().layout.block, {}};
    if (has_head_ && in_.bf16) reduce_row_ = static_cast<std::int64_t>(make_reduce(reduced).row_floats());
    const Bf16Layer expand(stages_.back().shape, {ranked_layout(1, 1), rank_}, epilogue_, maxout);
    expand_row_ = static_cast<std::int64_t>(expand.gather().row_floats());
  }

  Bf16Gather make_reduce(const Layout& reduced) const {
    return Bf16Gather(stages_[0].shape, {in_.layout, ChannelPlaces::dense(in_.layout.c)}, {reduced, rank_}, {}, 0);
  }

  // As many rows as the second-level cache has room for beside input and output, and of small images several together.
  void choose_band() {
    constexpr std::int64_t kFloat = sizeof(float);
    const std::int64_t budget = second_level_cache_bytes() / kFloat * 5 / 8;
    const Layout& out = epilogue_.out().layout;
    const std::int64_t blocks = rank_blocks();
    const std::int64_t most = bf16_kernels().matrix ? kMatrixBlocks : kMaxBlocks;
    part_blocks_ = in_.bf16 ? std::min<std::int64_t>(most, blocks) : blocks;
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
    lay_out(band_, images_);
  }

  void make_kernels(Maxout maxout) {
    for (std::size_t i = 0; i < depthwise_; ++i) {
      Stage& stage = stages_[i + (has_head_ ? 1 : 0)];
      const Layout& src = i > 0 ? middle_ : has_head_ ? reduced_ : in_.layout;
      stage.kernel = Bf16Depthwise(stage.shape, src, rank_, rank_blocks());
    }
    ConvolutionShape expand = stages_.back().shape;
    expand_ = Bf16Layer(expand, {ranked_, rank_}, epilogue_, maxout);
    if (!has_head_) return;
    ConvolutionShape head = stages_[0].shape;
    Layout reduced = reduced_;
    if (in_.bf16) {
      reduced.c = width_;
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

  struct Band {
    std::int64_t image, images;
    Rows out;
    Rows reduced;       // what scratch memory holds
    Rows computed;      // what of it is to be computed
    std::int64_t kept;  // rows at the top that were kept
    Rows next;          // of the band after this one; empty: there is none
    float* scratch;
  };

  void run_chunk(std::int64_t image, std::int64_t images, Rows chunk, float* scratch) const {
    if (has_head_) clear_halo(reduced_, scratch + memory_.reduced);
    if (depthwise_ == 2) clear_halo(middle_, scratch + memory_.middle);
    clear_padding(images, scratch);
    Rows held;
    for (std::int64_t y = chunk.begin; y < chunk.end; y += band_) {
      Band band{image, images, {y, std::min(chunk.end, y + band_)}, {}, {}, 0, {}, scratch};
      band.reduced = reduced_rows(band.out);
      if (kept_rows_ > 0 && held.count() > 0)
        band.kept = std::max<std::int64_t>(0, std::min(held.end, band.reduced.end) - band.reduced.begin);
      held = band.reduced;
      if (band.out.end < chunk.end) band.next = reduced_rows({band.out.end, std::min(chunk.end, band.out.end + band_)});
      run_band(band);
    }
  }

  void run_band(Band& band) const {
    if (has_head_) {
      run_head(band);
    } else {
      for (std::int64_t block = 0; block < rank_blocks(); ++block) run_depthwise(band, block, nullptr);
    }
    run_expand(band);
  }

  float* reduced(const Band& band) const { return band.scratch + memory_.reduced; }

  // The first stage, a part of the rank at a time, each part followed by its depthwise stages.
  void run_head(Band& band) const {
    const Rows inside = band.reduced.within(stages_[0].shape.out_h);
    band.computed = {std::max(inside.begin, band.reduced.begin + band.kept), inside.end};
    // Rows outside of the image are padding.
    zero_rows(band, band.reduced.begin, inside.begin);
    zero_rows(band, inside.end, band.reduced.end);
    if (!in_.bf16) {
      run_first(band);
      run_part(band, 0, rank_blocks());
      return;
    }
    const Bf16** from = reinterpret_cast<const Bf16**>(band.scratch + memory_.lists);
    const std::int64_t pixels = band.images * std::max<std::int64_t>(0, band.computed.count()) * reduced_.w;
    void** to = reinterpret_cast<void**>(band.scratch + memory_.lists + pixels * kPointer);
    list_head(band, from, to);
    const Bf16Source source = reduce_.source(from, pixels, band.scratch + memory_.rows);
    for (std::size_t part = 0; part < reduce_.parts(); ++part) {
      const std::int64_t first = reduce_.first_block(part), blocks = reduce_.blocks(part);
      if (band.kept > 0) restore(band, first, blocks);
      for (std::int64_t p = 0; p < pixels; p += kBand)
        reduce_.run(part, source, p, to + p, static_cast<int>(std::min<std::int64_t>(kBand, pixels - p)), band.scratch);
      run_part(band, first, blocks);
      if (kept_rows_ > 0 && band.next.count() > 0) keep(band, first, blocks);
    }
  }

  void list_head(const Band& band, const Bf16** from, void** to) const {
    const Layout& in = in_.layout;
    for (std::int64_t n = 0; n < band.images; ++n) {
      for (std::int64_t y = band.computed.begin; y < band.computed.end; ++y) {
        const Bf16* src = in_.half() + in.at(band.image + n) + in.pixel(y, 0);
        float* dst = reduced(band) + reduced_.at(n) + reduced_.pixel(y - band.reduced.begin, 0);
        for (std::int64_t x = 0; x < reduced_.w; ++x) {
          *from++ = src + x * in.block;
          *to++ = dst + x * reduced_.block;
        }
      }
    }
  }

  void run_first(const Band& band) const {
    if (band.computed.count() <= 0) return;
    const std::int64_t source = input_rows(stages_[0].shape, band.computed).begin;
    const float* src = in_.data + in_.layout.image() * band.image + source * in_.layout.row();
    float* dst = reduced(band) + (band.computed.begin - band.reduced.begin) * reduced_.row();
    const std::int64_t whole = reduced_.h * reduced_.w;
    for (std::int64_t n = 0; n < band.images; ++n)
      first_.run_range(src, dst, n * whole, n * whole + band.computed.count() * reduced_.w, 0, band.scratch);
  }

  void run_part(const Band& band, std::int64_t first, std::int64_t blocks) const {
    for (std::int64_t b = 0; b < blocks; ++b) run_depthwise(band, first + b, reduced(band) + b * reduced_.plane());
  }

  // The depthwise stages of one block of the rank. `planes`: its reduced values, or null: the block's own input.
  void run_depthwise(const Band& band, std::int64_t block, const float* planes) const {
    for (std::int64_t n = 0; n < band.images; ++n) {
      Bf16* to = ranked(band.scratch, n, block);
      const Source source{planes ? planes + n * reduced_.image() : nullptr, band.image + n, block, band.reduced.begin};
      if (depthwise_ == 0) {
        round_plane(planes + n * reduced_.image(), to, band.out.count() * reduced_.w);
      } else if (depthwise_ == 1) {
        depthwise_rows(source, band.out, to, true, ranked_.row());
      } else {
        run_two(band, source, to);
      }
    }
  }

  std::int64_t rank_blocks() const { return width_ / epilogue_.out().layout.block; }

  // Where a channel block of the output's size begins among what the expand stage reads.
  Bf16* ranked(float* scratch, std::int64_t n, std::int64_t block) const {
    const std::int64_t place = block * epilogue_.out().layout.block;
    return reinterpret_cast<Bf16*>(scratch + memory_.ranked) + ranked_.at(n, place / ranked_.block) +
           place % ranked_.block;
  }

  // The half of a last block that no stage writes is read, with weights of 0: there must be numbers.
  void clear_padding(std::int64_t images, float* scratch) const {
    if (width_ % ranked_.block == 0) return;
    for (std::int64_t n = 0; n < images; ++n) {
      Bf16* last = reinterpret_cast<Bf16*>(scratch + memory_.ranked) + ranked_.at(n, ranked_.blocks() - 1);
      std::fill_n(last, ranked_.plane(), Bf16{0});
    }
  }

  void round_plane(const float* plane, Bf16* to, std::int64_t pixels) const {
    const std::int64_t block = reduced_.block;
    if (block == ranked_.block) return bf16_kernels().round(plane, to, pixels * block);
    for (std::int64_t p = 0; p < pixels; ++p) bf16_kernels().round(plane + p * block, to + p * ranked_.block, block);
  }

  struct Source {
    const float* reduced;  // the block's plane, or null: the input
    std::int64_t image, block, first_row;
  };

  // Rows of the first depthwise stage.
  void depthwise_rows(const Source& source, Rows out, void* dst, bool dst_bf16, std::ptrdiff_t dst_row) const {
    const Window& w = depthwise_shape(0).window;
    const Layout& layout = source.reduced ? reduced_ : in_.layout;
    const std::int64_t y = out.begin * w.strides[0] - w.pads[0];
    Bf16Depthwise::Rows rows{};
    if (source.reduced) {
      rows.src = source.reduced + layout.origin() + layout.pixel(y - source.first_row, -w.pads[1]);
    } else {
      rows.src = in_.half() + layout.at(source.image, source.block) + layout.pixel(y, -w.pads[1]);
      rows.src_bf16 = true;
    }
    rows.src_row = w.strides[0] * layout.row();
    rows.dst = dst;
    rows.dst_bf16 = dst_bf16;
    rows.dst_row = dst_row;
    if (dst_bf16) rows.dst_step = ranked_.block;
    rows.rows = out.count();
    rows.pixels = depthwise_shape(0).out_w;
    depthwise_kernel(0).run(source.block, rows, 0);
  }

  void run_two(const Band& band, const Source& source, Bf16* ranked) const {
    const Window& w = depthwise_shape(1).window;
    float* middle = band.scratch + memory_.middle;
    const Rows wanted = input_rows(depthwise_shape(1), band.out), inside = middle_rows(band.out);
    Bf16Depthwise::Rows rows{};
    rows.src = middle + middle_.pixel(0, 0);
    rows.dst_bf16 = true;
    rows.dst_step = ranked_.block;
    rows.pixels = ranked_.w;
    if (row_by_row()) {
      rows.rows = 1;
      for (std::int64_t y = band.out.begin; y < band.out.end; ++y) {
        depthwise_rows(source, {y, y + 1}, middle + middle_.origin(), false, 0);
        rows.dst = ranked + (y - band.out.begin) * ranked_.row();
        depthwise_kernel(1).run(source.block, rows, 0);
      }
      return;
    }
    const auto row = [&](std::int64_t y) { return middle + (y - wanted.begin) * middle_.row(); };
    std::fill(row(wanted.begin), row(inside.begin), 0.0f);
    std::fill(row(inside.end), row(wanted.end), 0.0f);
    if (inside.count() > 0)
      depthwise_rows(source, inside, row(inside.begin) + middle_.halo.left * middle_.block, false, middle_.row());
    rows.src_row = w.strides[0] * middle_.row();
    rows.rows = band.out.count();
    rows.dst = ranked;
    rows.dst_row = ranked_.row();
    depthwise_kernel(1).run(source.block, rows, 0);
  }

  void run_expand(const Band& band) const {
    const Layout& out = epilogue_.out().layout;
    const Bf16* ranked = reinterpret_cast<const Bf16*>(band.scratch + memory_.ranked);
    const std::int64_t each = band.out.count() * out.w, pixels = band.images * each;
    for (std::int64_t p = 0; p < pixels;) {
      const Bf16* from[kBand];
      void* to[kBand];
      const void* residual[kBand];
      const int count = static_cast<int>(std::min<std::int64_t>(kBand, pixels - p));
      for (int i = 0; i < count;) {
        // As far as one image's rows go: both sides are in order.
        const std::int64_t n = (p + i) / each, at = (p + i) % each;
        const std::int64_t run = std::min<std::int64_t>(count - i, each - at);
        const Bf16* src = ranked + ranked_.at(n) + at * ranked_.block;
        for (std::int64_t x = 0; x < run; ++x) from[i + x] = src + x * ranked_.block;
        const std::int64_t begin = ((band.image + n) * out.h + band.out.begin) * out.w + at;
        epilogue_.list(begin, begin + run, to + i, residual + i);
        i += static_cast<int>(run);
      }
      const Bf16Source source = expand_.gather().source(from, count, band.scratch + memory_.rows, true);
      for (std::size_t part = 0; part < expand_.gather().parts(); ++part)
        expand_.run(part, source, to, residual, band.scratch);
      p += count;
    }
  }

  template <class F>
  void each_plane(const Band& band, std::int64_t blocks, F&& f) const {
    for (std::int64_t n = 0; n < band.images; ++n) {
      for (std::int64_t b = 0; b < blocks; ++b) f(n, b, reduced(band) + n * reduced_.image() + b * reduced_.plane());
    }
  }

  void zero_rows(const Band& band, std::int64_t begin, std::int64_t end) const {
    each_plane(band, part_blocks_, [&](std::int64_t, std::int64_t, float* plane) {
      std::fill(plane + (begin - band.reduced.begin) * reduced_.row(),
                plane + (end - band.reduced.begin) * reduced_.row(), 0.0f);
    });
  }

  float* kept(const Band& band, std::int64_t n, std::int64_t block) const {
    return band.scratch + memory_.kept + (block * images_ + n) * kept_rows_ * reduced_.row();
  }
  void keep(const Band& band, std::int64_t first, std::int64_t blocks) const {
    const std::int64_t count = band.reduced.end - band.next.begin;
    if (count <= 0) return;
    each_plane(band, blocks, [&](std::int64_t n, std::int64_t b, const float* plane) {
      std::copy_n(plane + (band.next.begin - band.reduced.begin) * reduced_.row(), count * reduced_.row(),
                  kept(band, n, first + b));
    });
  }
  void restore(const Band& band, std::int64_t first, std::int64_t blocks) const {
    each_plane(band, blocks, [&](std::int64_t n, std::int64_t b, float* plane) {
      std::copy_n(kept(band, n, first + b), band.kept * reduced_.row(), plane);
    });
  }

  static constexpr std::int64_t kPointer = sizeof(void*) / sizeof(float);  // floats that a pointer takes
  // Where things lie in scratch memory, in floats.
  struct Memory {
    std::int64_t lists, rows, reduced, middle, ranked, kept, end;
  };

  Value& in_;
  Bf16Epilogue epilogue_;
  std::vector<Stage> stages_;
  bool has_head_ = true;
  std::size_t depthwise_ = 0;
  ChannelPlaces rank_;
  std::int64_t width_ = 0;  // channels of the rank with their padding
  std::int64_t part_blocks_ = 1;
  std::int64_t band_ = 1, images_ = 1, kept_rows_ = 0;
  std::int64_t reduce_row_ = 0, expand_row_ = 0;  // floats of a pixel's row as tiles read it
  Memory memory_{};
  Layout reduced_;  // float32, a part of the rank, of a band
  Layout middle_;   // float32, between two depthwise stages: one block of one image
  Layout ranked_;   // bfloat16, all of the rank, of a band, in blocks that tiles read as they lie
  Bf16Gather reduce_;
  Gather first_;
  Bf16Layer expand_;
};

}  // namespace

std::unique_ptr<Step> make_bf16_cp_block(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16CpBlock>(spec, resources);
}

}  // namespace polyadic

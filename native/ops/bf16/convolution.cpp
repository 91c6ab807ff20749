// Convolution of a bfloat16 value: dense ones by pairs, depthwise ones by rows.
#include <algorithm>
#include <string>
#include <vector>

#include "../../core/status.h"
#include "../epilogue.h"
#include "depthwise.h"
#include "layer.h"

namespace polyadic {
namespace {

class Bf16Convolution : public Step {
 public:
  Bf16Convolution(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        weight_(resources.parameters[static_cast<std::size_t>(spec.convolution.weight)]),
        bias_(spec.convolution.bias < 0 ? nullptr
                                        : &resources.parameters[static_cast<std::size_t>(spec.convolution.bias)]),
        epilogue_(spec, resources) {
    if (!in_.bf16) throw Error(ErrorCode::argument, "convolution: bf16 kernels need an input in bf16");
    const Layout& in = in_.layout;
    const Layout& out = epilogue_.out().layout;
    shape_ = convolution_shape(spec.convolution, in, out.c * spec.maxout.pieces, out.h, out.w);
    if (static_cast<std::int64_t>(weight_.data.size()) != shape_.weight_count() ||
        (bias_ && static_cast<std::int64_t>(bias_->data.size()) != shape_.out_channels)) {
      throw Error(ErrorCode::shape, "convolution: weight or bias has the wrong number of elements");
    }
    phase_ = forward_phases(shape_, in.n)[0];
    depthwise_ = shape_.depthwise() && spec.maxout.pieces == 1 && in.block > 1;
    const ChannelPlaces places = ChannelPlaces::dense(in.c);
    if (depthwise_) {
      narrow_ = Bf16Depthwise(shape_, in, places, bf16_strips(in));
    } else {
      wide_ = Bf16Layer(shape_, {in, places}, epilogue_, spec.maxout);
      band_ = wide_.gather().band();
      order_ = wide_.gather().order(phase_.src, out);
    }
  }

  void pack(const Context& context) override {
    const float* bias = bias_ ? bias_->data.data() : nullptr;
    if (depthwise_) {
      narrow_.pack(weight_.data.data(), bias);
    } else {
      wide_.pack(context, weight_.data.data(), bias);
    }
  }

  void forward(const Context& context) override {
    if (depthwise_) return run_rows(context);
    const std::int64_t parts = static_cast<std::int64_t>(wide_.gather().parts());
    const std::int64_t bands = (order_.size() + band_ - 1) / band_;
    const std::int64_t together = parts_together(bands, context.threads()), groups = (parts + together - 1) / together;
    context.parallel(
        groups * bands,
        [&](std::int64_t index, int thread) {
          const std::int64_t first = index / bands * together, last = std::min(parts, first + together);
          run_band(index % bands, static_cast<std::size_t>(first), static_cast<std::size_t>(last),
                   context.scratch(thread));
        },
        Bf16Gather::scope());
  }

  std::string kernel() const override {
    const std::string name = std::string("bf16 (") + bf16_kernels().name + ") ";
    if (depthwise_) return name + "depthwise " + window_name(shape_.window) + epilogue_.name();
    return name + "direct " + window_name(shape_.window) + ", panels of " + std::to_string(wide_.gather().strips(0)) +
           " blocks" + epilogue_.name();
  }
  std::string why() const override {
    return depthwise_ ? "each channel by itself: there is nothing to sum over"
                      : "bfloat16 is always direct: Winograd's transforms would be rounded";
  }
  std::size_t weight_bytes() const override {
    return depthwise_ ? narrow_.weight_bytes() : wide_.gather().weight_bytes();
  }
  std::size_t scratch_floats() const override {
    return Bf16Layer::scratch_floats() + static_cast<std::size_t>(band_) * wide_.gather().row_floats();
  }

 private:
  // Parts of the output's channels that a band's pixels are taken through together. Small weights stay near: all of
  // them, while the pixels are in the first-level cache. Otherwise a part's weights are used for all pixels before the
  // next part's come in, unless pixels have to be put together first.
  std::int64_t parts_together(std::int64_t bands, int threads) const {
    const std::int64_t parts = static_cast<std::int64_t>(wide_.gather().parts()), jobs = 4 * threads;
    if (!bf16_kernels().matrix) {
      constexpr std::size_t kSmallWeights = 256 * 1024;
      return wide_.gather().weight_bytes() <= kSmallWeights && bands >= jobs ? parts : 1;
    }
    const std::int64_t groups = std::min(parts, (jobs + bands - 1) / bands);
    return std::min(static_cast<std::int64_t>(wide_.gather().parts_together()), (parts + groups - 1) / groups);
  }

  void run_band(std::int64_t band, std::size_t first, std::size_t last, float* scratch) const {
    const std::int64_t begin = band * band_, end = std::min(begin + band_, order_.size());
    const Bf16* from[kBand];
    void* to[kBand];
    const void* residual[kBand];
    order_.list_sources(phase_.src, in_.layout, static_cast<const Bf16*>(in_.half()), begin, end, from);
    epilogue_.list(order_, begin, end, to, residual);
    const Bf16Source source = wide_.gather().source(from, end - begin, scratch + Bf16Layer::scratch_floats());
    for (std::size_t part = first; part < last; ++part)
      wide_.run(part, source, 0, static_cast<int>(end - begin), to, residual, scratch);
  }

  // Depthwise: an image's strip of channels at a time, where the kernel can finish it, else a part of a row.
  void run_rows(const Context& context) const {
    const Layout& in = in_.layout;
    const Value& value = epilogue_.out();
    const Layout& out = value.layout;
    const Window& window = shape_.window;
    const std::int64_t strips = bf16_strips(out);
    const PixelOrder order = PixelOrder::dense(out);
    context.parallel(out.n * strips, [&](std::int64_t index, int thread) {
      const std::int64_t n = index / strips, strip = index % strips;
      Bf16Depthwise::Rows rows{};
      const Bf16* src = in_.half() + in.at(n) + bf16_strip(in, strip) + in.pixel(-window.pads[0], -window.pads[1]);
      rows.src_bf16 = true;
      rows.src_row = window.strides[0] * in.row();
      if (epilogue_.fused()) {
        rows.src = src;
        rows.dst = value.at(out.at(n) + bf16_strip(out, strip));
        rows.dst_bf16 = value.bf16;
        rows.dst_row = out.row();
        rows.dst_step = out.block;
        rows.rows = out.h;
        rows.pixels = out.w;
        return narrow_.run(strip, rows, epilogue_.flags());
      }
      rows.dst = context.scratch(thread);
      rows.dst_step = bf16_lanes();
      rows.rows = 1;
      for (std::int64_t y = 0; y < out.h; ++y) {
        for (std::int64_t x = 0; x < out.w; x += kBand) {
          rows.src = src + y * rows.src_row + x * window.strides[1] * in.block;
          rows.pixels = std::min<std::int64_t>(kBand, out.w - x);
          narrow_.run(strip, rows, 0);
          const std::int64_t begin = (n * out.h + y) * out.w + x;
          void* to[kBand];
          const void* residual[kBand];
          epilogue_.list(order, begin, begin + rows.pixels, to, residual);
          epilogue_.finish(context.scratch(thread), strip, to, residual, rows.pixels);
        }
      }
    });
  }

  Value& in_;
  Parameter& weight_;
  Parameter* bias_;
  Bf16Epilogue epilogue_;
  ConvolutionShape shape_;
  GatherPhase phase_;
  bool depthwise_ = false;
  Bf16Layer wide_;
  std::int64_t band_ = kBand;
  PixelOrder order_;
  Bf16Depthwise narrow_;
};

}  // namespace

std::unique_ptr<Step> make_bf16_convolution(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Bf16Convolution>(spec, resources);
}

}  // namespace polyadic

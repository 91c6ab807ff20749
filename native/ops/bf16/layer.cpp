#include "layer.h"

#include <algorithm>

#include "../activation.h"

namespace polyadic {

Bf16Epilogue::Bf16Epilogue(const StepSpec& spec, StepResources resources)
    : activation_(spec.activation),
      pieces_(spec.maxout.pieces),
      out_(&resources.values[static_cast<std::size_t>(spec.output)]),
      residual_(spec.residual < 0 ? nullptr : &resources.values[static_cast<std::size_t>(spec.residual)]) {}

namespace {

template <class Pointer>
void list_value(const PixelOrder& order, const Value& value, std::int64_t begin, std::int64_t end, Pointer* list) {
  if (value.bf16) {
    order.list(value.layout, value.half(), begin, end, list);
  } else {
    order.list(value.layout, value.data, begin, end, list);
  }
}

}  // namespace

void Bf16Epilogue::list(const PixelOrder& order, std::int64_t begin, std::int64_t end, void** out,
                        const void** residual) const {
  list_value(order, *out_, begin, end, out);
  if (residual_) list_value(order, *residual_, begin, end, residual);
}

void Bf16Epilogue::finish(float* sums, std::int64_t strip, void* const* out, const void* const* residual,
                          std::int64_t pixels) const {
  const bool planes = to_planes(), simple = kind() == ActivationSpec::Kind::none || relu();
  Bf16FinishArgs args{};
  args.sums = sums;
  args.pixels = pixels;
  args.block = bf16_lanes();
  if (residual_) {
    args.residual = residual;
    args.residual_offset = bf16_strip(residual_->layout, strip);
    args.flags = residual_->bf16 ? kBf16Residual : 0;
  }
  void* at[kBand];
  if ((residual_ && !simple) || (planes && (residual_ || relu()))) {
    for (std::int64_t p = 0; p < pixels; ++p) at[p] = out[p] ? sums + p * args.block : nullptr;
    Bf16FinishArgs sum = args;
    sum.dst = at;
    sum.flags |= relu() ? kRelu : 0;
    bf16_kernels().finish(sum);
    args.residual = nullptr;
  }
  if (!simple) apply_activation(activation_, sums, sums, pixels * args.block);
  if (planes) return store_planes(sums, strip, out, pixels);
  args.dst = out;
  args.dst_offset = strip_offset(strip);
  args.flags |= flags();
  bf16_kernels().finish(args);
  if (!out_->bf16 || !residual_ || residual_->bf16) return;
  for (std::int64_t p = 0; p < pixels; ++p) {
    if (out[p]) clear_unused_lanes(out_->layout, strip, static_cast<Bf16*>(out[p]) + args.dst_offset, 1);
  }
}

// Runs of pixels that follow each other in planes.
void Bf16Epilogue::store_planes(const float* sums, std::int64_t strip, void* const* out, std::int64_t pixels) const {
  const Layout& layout = out_->layout;
  const std::int64_t lanes = bf16_lanes(), channels = std::min(lanes, layout.c - strip * lanes);
  for (std::int64_t p = 0; p < pixels;) {
    float* const first = static_cast<float*>(out[p]);
    std::int64_t run = 1;
    while (layout.plane() > 1 && p + run < pixels && out[p + run] && static_cast<float*>(out[p + run]) == first + run)
      ++run;
    if (first && layout.plane() == 1) {
      std::copy_n(sums + p * lanes, channels, first + strip * lanes);
    } else if (first) {
      kernels().layout.from_blocked(sums + p * lanes, run, channels, first + strip * lanes * layout.plane(),
                                    layout.plane());
    }
    p += run;
  }
}

std::string Bf16Epilogue::name() const {
  std::string text = to_planes() ? ", to planes" : "";
  if (pieces_ > 1) text += " + maxout " + std::to_string(pieces_);
  if (residual_) text += " + add";
  if (relu()) text += " + relu";
  return text;
}

Bf16Layer::Bf16Layer(const ConvolutionShape& shape, const PlacedLayout& src, const Bf16Epilogue& epilogue,
                     Maxout maxout)
    : epilogue_(&epilogue) {
  const Layout& out = epilogue.out().layout;
  sums_ = Layout{1, out.c, 1, kBand, bf16_lanes(), {}};
  gather_ = Bf16Gather(shape, src, {epilogue.fused() ? out : sums_, ChannelPlaces::dense(out.c)}, maxout,
                       epilogue.fused() ? epilogue.flags() : 0);
}

void Bf16Layer::run(std::size_t part, const Bf16Source& source, std::int64_t first, int pixels, void* const* out,
                    const void* const* residual, float* scratch) const {
  const std::int64_t strip = gather_.first_strip(part);
  void* to[kBand];
  if (epilogue_->fused()) {
    const std::size_t bytes = epilogue_->out().bf16 ? sizeof(Bf16) : sizeof(float);
    const std::ptrdiff_t offset = epilogue_->strip_offset(strip) * static_cast<std::ptrdiff_t>(bytes);
    for (int p = 0; p < pixels; ++p) to[p] = out[p] ? static_cast<char*>(out[p]) + offset : nullptr;
    return gather_.run(part, source, first, to, pixels, scratch);
  }
  float* sums = scratch + Bf16Gather::scratch_floats();
  for (int p = 0; p < pixels; ++p) to[p] = sums + p * sums_.block;
  gather_.run(part, source, first, to, pixels, scratch);
  for (int m = 0; m < gather_.strips(part); ++m)
    epilogue_->finish(sums + m * sums_.plane(), strip + m, out, residual, pixels);
}

}  // namespace polyadic

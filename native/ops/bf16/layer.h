// A convolution with everything that follows its sums: maxout, residual, activation, and rounding where the output is
// kept in bfloat16. The residual and activations other than relu are applied to float32 sums in scratch memory, so that
// nothing is rounded twice.
#pragma once

#include <string>

#include "../step.h"
#include "gather.h"
#include "pixel_order.h"

namespace polyadic {

// What follows a sum, and where it goes.
class Bf16Epilogue {
 public:
  Bf16Epilogue(const StepSpec& spec, StepResources resources);

  // Kernels can do all of it.
  bool fused() const { return !residual_ && !to_planes() && (kind() == ActivationSpec::Kind::none || relu()); }
  // The output lies in planes, in the caller's memory.
  bool to_planes() const { return out_->layout.block == 1; }
  // For kernels: what they store when all of it is theirs.
  int flags() const { return (relu() ? kRelu : 0) | (out_->bf16 ? kStoreBf16 : 0); }
  // Pixels at places [begin, end) of the order, and of the residual where there is one: null where there is no pixel.
  void list(const PixelOrder& order, std::int64_t begin, std::int64_t end, void** out, const void** residual) const;
  // One strip of some pixels: [pixels][lanes] sums, which it may change.
  void finish(float* sums, std::int64_t strip, void* const* out, const void* const* residual,
              std::int64_t pixels) const;
  // From a pixel of the output's first strip to the same pixel of a later one.
  std::ptrdiff_t strip_offset(std::int64_t strip) const { return bf16_strip(out_->layout, strip); }

  const Value& out() const { return *out_; }
  std::string name() const;

 private:
  void store_planes(const float* sums, std::int64_t strip, void* const* out, std::int64_t pixels) const;
  ActivationSpec::Kind kind() const { return activation_.kind; }
  bool relu() const { return kind() == ActivationSpec::Kind::relu; }

  ActivationSpec activation_;
  std::int64_t pieces_;
  const Value* out_;
  const Value* residual_;
};

class Bf16Layer {
 public:
  Bf16Layer() = default;
  Bf16Layer(const ConvolutionShape& shape, const PlacedLayout& src, const Bf16Epilogue& epilogue, Maxout maxout);

  void pack(const Context& context, const float* weights, const float* bias) { gather_.pack(context, weights, bias); }

  // A part of the output's channels for at most kBand pixels of a source of gather(), from `first` on, a multiple
  // of 16.
  void run(std::size_t part, const Bf16Source& source, std::int64_t first, int pixels, void* const* out,
           const void* const* residual, float* scratch) const;
  const Bf16Gather& gather() const { return gather_; }

  static std::size_t scratch_floats() { return 2 * Bf16Gather::scratch_floats() + 64; }

 private:
  const Bf16Epilogue* epilogue_ = nullptr;
  Layout sums_;  // of a band, where the kernels cannot finish it
  Bf16Gather gather_;
};

}  // namespace polyadic

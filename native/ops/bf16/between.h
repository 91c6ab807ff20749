// What a CP block does between its two products: the depthwise stages, in float32, of one strip of the rank at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "cp_stages.h"
#include "depthwise.h"

namespace polyadic {

// From rows of what was reduced, or of the input where no stage comes before, to bfloat16 rows as the expand stage
// reads them. Without depthwise stages it only rounds.
class Bf16Between {
 public:
  // `stages` must outlive it.
  explicit Bf16Between(const Bf16CpStages& stages) : stages_(stages) {}

  // For a band of at most so many output rows, which go to `ranked`.
  void lay_out(std::int64_t band, const Layout& ranked);
  // After the last lay_out(): kernels that read strips of `source`.
  void make_kernels(const Layout& source);
  // The weights of depthwise stage i, [C][1][kH][kW], and a bias [C] or null.
  void pack(std::size_t i, const float* weights, const float* bias) { kernels_[i].pack(weights, bias); }

  // A strip as it lies in the source, from row `first_row` on, pixel 0.
  struct Source {
    const float* reduced;  // or null:
    const Bf16* input;
    std::int64_t first_row;
  };
  // Output rows of a strip of the rank; `to`: their first pixel in ranked. Scratch must have been cleared once.
  void run(std::int64_t strip, const Source& source, Rows out, Bf16* to, float* scratch) const;

  void clear(float* scratch) const;
  std::int64_t scratch_floats() const;
  std::size_t weight_bytes() const;

 private:
  // `to`: where rows go; what they are read from is filled in.
  void run_first(std::int64_t strip, const Source& source, Rows out, Bf16Depthwise::Rows to) const;
  void run_two(std::int64_t strip, const Source& source, Rows out, Bf16Depthwise::Rows to, float* middle) const;

  const Bf16CpStages& stages_;
  Layout source_, ranked_;
  Layout middle_;  // float32, between two depthwise stages: one block of one image
  std::vector<Bf16Depthwise> kernels_;
};

}  // namespace polyadic

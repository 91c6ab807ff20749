// The convolutions of a CP block, in either precision: what they are, and which rows each needs of the one before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "step.h"

namespace polyadic {

struct Rows {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
  Rows within(std::int64_t extent) const {
    return {std::clamp<std::int64_t>(0, begin, end), std::clamp(extent, begin, end)};
  }
};

// Input rows that output rows of a stage need.
Rows input_rows(const ConvolutionShape& shape, Rows out);

// Zero columns that a stage needs around rows of its input.
Halo column_halo(const ConvolutionShape& shape);

struct CpStage {
  ConvolutionShape shape;  // of the whole layer
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;  // null: none
  bool depthwise = false;     // by kernels for that: each precision decides
};

// In order. Throws Error(shape) where they do not fit each other, their parameters or the step's output.
std::vector<CpStage> cp_stages(const StepSpec& spec, StepResources resources);

// Why bands of `band` output rows of `height`: the bytes between their stages, beside `room`, a `share` of the
// second-level cache.
std::string bands_reason(std::int64_t band, std::int64_t height, std::int64_t bytes, std::int64_t room,
                         const char* share);

}  // namespace polyadic

// What this CPU and this operating system can run.
#pragma once

namespace polyadic {

struct CpuFeatures {
  bool avx2;    // AVX2, FMA and F16C, and the system saves YMM registers
  bool avx512;  // AVX-512 F, BW, DQ, VL and CD, and the system saves ZMM and mask registers
};

const CpuFeatures& cpu_features();

}  // namespace polyadic

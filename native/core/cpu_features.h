// What this CPU and this operating system can run.
#pragma once

#include <cstdint>
#include <string>

namespace polyadic {

struct CpuFeatures {
  bool avx2 = false;         // AVX2, FMA and F16C, and the system saves YMM registers
  bool avx512 = false;       // AVX-512 F, BW, DQ, VL and CD, and the system saves ZMM and mask registers
  bool avx512_bf16 = false;  // `avx512` and AVX512-BF16
  bool amx_bf16 = false;     // AMX tiles with bfloat16, which the system can save; amx_permission.h: whether it does
};

const CpuFeatures& cpu_features();

// Bytes of the second-level cache of a core, which blocking goes by: POLYADIC_L2_KIB if set to a number of KiB (virtual
// machines do not always tell the truth), else what the system says, else 256 KiB.
std::int64_t second_level_cache_bytes();
// "2048 KiB", for what is said of caches and of what has to fit them.
inline std::string in_kib(std::int64_t bytes) { return std::to_string(bytes / 1024) + " KiB"; }

}  // namespace polyadic

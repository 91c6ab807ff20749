// The roofline's roof: what one core can do at most with the chosen instruction set.
#pragma once

namespace polyadic {

// float32 GFLOP/s of one core just now: about a millisecond of independent fused multiply-adds in registers.
double peak_gflops();
// The same in float64.
double peak_gflops_double();
// Throws Error(unsupported) where there are no bfloat16 kernels.
double peak_gflops_bf16();

}  // namespace polyadic

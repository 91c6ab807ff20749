// The roofline's roof: what one core can do at most with the chosen instruction set.
#pragma once

namespace polyadic {

// float32 GFLOP/s of one core: the best of several short runs of independent fused multiply-adds in registers.
double peak_gflops();

}  // namespace polyadic

// What an instruction set offers to the rest: one table of functions, tile sizes and the channel block.
// Every kernel file exports exactly one table; everything else in it has internal linkage, so that no function
// compiled for AVX-512 can be picked by the linker for a CPU without it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "float_kernels.h"
#include "double_kernels.h"
#include "function_kernels.h"
#include "layout_kernels.h"
#include "pool_kernels.h"
#include "row_kernels.h"
#include "training_kernels.h"
#include "winograd_kernels.h"

namespace polyadic {

struct KernelTable {
  const char* name;   // "scalar", "avx2", "avx512"
  FloatKernels f32;   // inference and training
  DoubleKernels f64;  // the CP solver
  TrainingKernels training;
  LayoutKernels layout;
  WinogradKernels winograd;
  PoolKernels pool;
  RowKernels row;
  FunctionKernels functions;
};

extern const KernelTable kernels_scalar;
#ifdef POLYADIC_X64_KERNELS
extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512;
#endif

}  // namespace polyadic

// Chooses one kernel table a process: the best the CPU has, or the one that was asked for by name.
#pragma once

#include <string>
#include <vector>

#include "../kernels/bf16_kernels.h"
#include "../kernels/kernel_table.h"

namespace polyadic {

// The table in use. The first call fixes the choice: POLYADIC_ISA if set, else the best available.
// Throws Error(unsupported) when POLYADIC_ISA names a table this CPU cannot run.
const KernelTable& kernels();

// Names of the tables this CPU can run, best first.
std::vector<std::string> available_isas();

// Throws Error(unsupported) when the CPU lacks it, Error(argument) when another table is already in use.
void set_isa(const std::string& name);

// What bfloat16 runs on: the best table that this CPU has and that fits the channel block of kernels(), or none and
// why. POLYADIC_BF16 chooses: `off`, or a table by name (`scalar`, the twin that tests compare with, is only ever asked
// for). The first call asks the system for AMX where that could be used.
struct Bf16Choice {
  const Bf16Kernels* table;
  std::string reason;  // why there is none, or not the best that the CPU has
};
const Bf16Choice& bf16_choice();

// The table; throws Error(unsupported) with the reason where there is none.
const Bf16Kernels& bf16_kernels();

}  // namespace polyadic

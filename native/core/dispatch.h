// Chooses one kernel table a process: the best the CPU has, or the one that was asked for by name.
#pragma once

#include <string>
#include <vector>

#include "../kernels/kernel_table.h"

namespace polyadic {

// The table in use. The first call fixes the choice: POLYADIC_ISA if set, else the best available.
// Throws Error(unsupported) when POLYADIC_ISA names a table this CPU cannot run.
const KernelTable& kernels();

// Names of the tables this CPU can run, best first.
std::vector<std::string> available_isas();

// Throws Error(unsupported) when the CPU lacks it, Error(argument) when another table is already in use.
void set_isa(const std::string& name);

}  // namespace polyadic

// No ISA flags, no link-time optimisation: this decides before any vector instruction may run.
#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "amx_permission.h"
#include "cpu_features.h"
#include "status.h"

namespace polyadic {
namespace {

// The CPU table is one of the few process-wide mutable values; it is set once and then frozen.
std::atomic<const KernelTable*> g_table{nullptr};
std::mutex g_choice;

std::vector<const KernelTable*> available_tables() {
  std::vector<const KernelTable*> tables;
#ifdef POLYADIC_X64_KERNELS
  if (cpu_features().avx512) tables.push_back(&kernels_avx512);
  if (cpu_features().avx2) tables.push_back(&kernels_avx2);
#endif
  tables.push_back(&kernels_scalar);
  return tables;
}

const KernelTable* find(const std::string& name) {
  for (const KernelTable* table : available_tables()) {
    if (name == table->name) return table;
  }
  std::string list;
  for (const std::string& isa : available_isas()) list += (list.empty() ? "" : ", ") + isa;
  throw Error(ErrorCode::unsupported, "isa \"" + name + "\": this CPU can run " + list);
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const KernelTable* table : available_tables()) names.emplace_back(table->name);
  return names;
}

const KernelTable& kernels() {
  const KernelTable* table = g_table.load(std::memory_order_acquire);
  if (table) return *table;
  const std::lock_guard<std::mutex> lock(g_choice);
  table = g_table.load(std::memory_order_relaxed);
  if (!table) {
    const char* wanted = std::getenv("POLYADIC_ISA");
    table = wanted && *wanted ? find(wanted) : available_tables().front();
    g_table.store(table, std::memory_order_release);
  }
  return *table;
}

void set_isa(const std::string& name) {
  const KernelTable* wanted = find(name);
  const std::lock_guard<std::mutex> lock(g_choice);
  const KernelTable* current = g_table.load(std::memory_order_relaxed);
  if (current && current != wanted) {
    throw Error(ErrorCode::argument, "isa: \"" + std::string(current->name) + "\" is already in use, \"" + name +
                                         "\" has to be chosen before the first plan or solver call");
  }
  g_table.store(wanted, std::memory_order_release);
}

namespace {

#ifdef POLYADIC_AMX_KERNELS

// Products on AMX tiles; all else by AVX512-BF16, which every CPU with AMX has.
const Bf16Kernels& amx_table() {
  static const Bf16Kernels table = [] {
    Bf16Kernels amx = kernels_bf16_avx512;
    amx.name = "amx_bf16";
    amx.matrix = &kernels_bf16_amx;
    amx.peak = kernels_bf16_amx.peak;
    return amx;
  }();
  return table;
}

#endif

// Best first. A further instruction set is a file of kernels, its flag in CpuFeatures and a line here. `refused`
// becomes why one that the CPU has cannot be used.
std::vector<const Bf16Kernels*> available_bf16_tables(const std::string& wanted, std::string& refused) {
  std::vector<const Bf16Kernels*> tables;
#ifdef POLYADIC_AMX_KERNELS
  if (cpu_features().avx512_bf16 && cpu_features().amx_bf16 && (wanted.empty() || wanted == amx_table().name)) {
    refused = amx_refusal();
    if (refused.empty()) tables.push_back(&amx_table());
  }
#endif
#ifdef POLYADIC_X64_KERNELS
  if (cpu_features().avx512_bf16) tables.push_back(&kernels_bf16_avx512);
#endif
  return tables;
}

bool fits(const Bf16Kernels& table) { return table.block == 0 || table.block == kernels().f32.block; }

Bf16Choice choose_bf16() {
  const char* variable = std::getenv("POLYADIC_BF16");
  const std::string wanted = variable ? variable : "";
  if (wanted == "off") return {nullptr, "POLYADIC_BF16=off"};
  if (wanted == kernels_bf16_scalar.name) return {&kernels_bf16_scalar, ""};
  std::string refused;
  for (const Bf16Kernels* table : available_bf16_tables(wanted, refused)) {
    if (!wanted.empty() && wanted != table->name) continue;
    if (fits(*table)) return {table, refused};
    return {nullptr, std::string(table->name) + " does not go with the kernels in use, " + kernels().name};
  }
  if (!wanted.empty())
    return {nullptr, "POLYADIC_BF16=" + wanted + ": " + (refused.empty() ? "this CPU has no such kernels" : refused)};
  return {nullptr, "this CPU has no AVX512-BF16"};
}

}  // namespace

const Bf16Choice& bf16_choice() {
  static const Bf16Choice choice = choose_bf16();
  return choice;
}

const Bf16Kernels& bf16_kernels() {
  const Bf16Choice& choice = bf16_choice();
  if (!choice.table) throw Error(ErrorCode::unsupported, "bf16: " + choice.reason);
  return *choice.table;
}

}  // namespace polyadic

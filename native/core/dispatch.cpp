// No ISA flags, no link-time optimisation: this decides before any vector instruction may run.
#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <mutex>

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

// Best first. A further instruction set is a file of kernels, its flag in CpuFeatures and a line here.
std::vector<const Bf16Kernels*> available_bf16_tables() {
  std::vector<const Bf16Kernels*> tables;
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
  for (const Bf16Kernels* table : available_bf16_tables()) {
    if (!wanted.empty() && wanted != table->name) continue;
    if (fits(*table)) return {table, ""};
    return {nullptr, std::string(table->name) + " does not go with the kernels in use, " + kernels().name};
  }
  if (!wanted.empty()) return {nullptr, "POLYADIC_BF16=" + wanted + ": this CPU has no such kernels"};
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

// Compiled without any ISA flag, and never with link-time optimisation: this runs on every CPU.
#include "cpu_features.h"

#include <cstdlib>

#include <cstdint>

#ifdef __linux__
#include <signal.h>
#include <unistd.h>

#include <cstring>
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define POLYADIC_X64 1
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace polyadic {
namespace {

#ifdef POLYADIC_X64

struct Registers {
  std::uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
#ifdef _MSC_VER
  int r[4];
  __cpuidex(r, static_cast<int>(leaf), static_cast<int>(subleaf));
  return {static_cast<std::uint32_t>(r[0]), static_cast<std::uint32_t>(r[1]), static_cast<std::uint32_t>(r[2]),
          static_cast<std::uint32_t>(r[3])};
#else
  Registers r{};
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
#endif
}

std::uint64_t saved_state() {
#ifdef _MSC_VER
  return _xgetbv(0);
#else
  std::uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

// For tests: POLYADIC_AMX=emulated says that something carries out illegal instructions of AMX. Nothing does where none
// are handled at all; then there is no AMX, whatever the variable says.
bool emulates_amx() {
#ifdef __linux__
  const char* variable = std::getenv("POLYADIC_AMX");
  struct sigaction action {};
  return variable && std::strcmp(variable, "emulated") == 0 && sigaction(SIGILL, nullptr, &action) == 0 &&
         (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction != nullptr;
#else
  return false;
#endif
}

bool has(std::uint32_t word, int bit) { return (word >> bit) & 1u; }

CpuFeatures detect() {
  CpuFeatures found{};
  if (cpuid(0, 0).eax < 7) return found;
  const Registers one = cpuid(1, 0);
  if (!has(one.ecx, 27)) return found;  // OSXSAVE: xgetbv may be used
  const std::uint64_t state = saved_state();
  const Registers seven = cpuid(7, 0);
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = (state & 0xe6) == 0xe6;
  found.avx2 = ymm && has(seven.ebx, 5) && has(one.ecx, 12) && has(one.ecx, 29);
  found.avx512 = found.avx2 && zmm && has(seven.ebx, 16) && has(seven.ebx, 30) && has(seven.ebx, 17) &&
                 has(seven.ebx, 31) && has(seven.ebx, 28);
  // Leaf 7 says in eax how many subleaves it has.
  found.avx512_bf16 = found.avx512 && seven.eax >= 1 && has(cpuid(7, 1).eax, 5);
  found.amx_bf16 = ((state & 0x60000) == 0x60000 && has(seven.edx, 24) && has(seven.edx, 22)) || emulates_amx();
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

namespace {

std::int64_t detect_second_level_cache() {
  constexpr std::int64_t kFallback = 256 * 1024;
  if (const char* wanted = std::getenv("POLYADIC_L2_KIB")) {
    const long kib = std::strtol(wanted, nullptr, 10);
    if (kib >= 1 && kib <= 1024 * 1024) return static_cast<std::int64_t>(kib) * 1024;
  }
#if defined(__linux__) && defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : kFallback;
#else
  return kFallback;
#endif
}

}  // namespace

std::int64_t second_level_cache_bytes() {
  static const std::int64_t bytes = detect_second_level_cache();
  return bytes;
}

}  // namespace polyadic

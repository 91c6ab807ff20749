// AMX in software, for tests on processors without it: preloaded (LD_PRELOAD), it handles SIGILL, carries out the tile instruction that raised it
// and those behind it, and goes on after them. Each thread has tiles of its own, and begins without a configuration, where Linux leaves it its
// maker's. Semantics and limits are those of Intel's Software Developer's Manual, volume 2: LDTILECFG, STTILECFG, TILERELEASE, TILEZERO,
// TILELOADD(T1), TILESTORED and TDPBF16PS of palette 1. What a processor would answer with #UD or #GP, and what is no tile instruction, ends
// the process with a message. A processor with AMX raises nothing at LDTILECFG, so there is nothing to handle there.
//
// It also stands in for the system's answer to who asks to use tiles, arch_prctl(ARCH_REQ_XCOMP_PERM): yes, or no with AMX_EMULATOR_REFUSE=1,
// which works on every processor.
// AMX_EMULATOR_LOG, a file: at its end each process that has used tiles adds a line to it, what was executed as JSON.
#include <dlfcn.h>
#include <errno.h>
#include <immintrin.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64, kPairs = kRowBytes / 4;

struct Tile {
  int rows, row_bytes;
  alignas(64) uint8_t data[kRows][kRowBytes];
};

struct State {
  bool configured;
  uint8_t start_row;
  Tile tiles[kTiles];
};

// Known when the process starts: reading it in a signal handler allocates nothing.
__attribute__((tls_model("initial-exec"))) thread_local State state;

struct Counters {
  std::atomic<long> configured, released, loads, stores, products;
} counters;

[[noreturn]] void fail(const char* what, const uint8_t* at) {
  char line[256];
  const int length = snprintf(line, sizeof line, "amx-emulator: %s (%02x %02x %02x %02x %02x)\n", what, at[0], at[1], at[2], at[3], at[4]);
  if (write(2, line, static_cast<size_t>(length)) != length) _exit(134);
  signal(SIGABRT, SIG_DFL);
  abort();
}

void release() {
  memset(&state, 0, sizeof state);
  ++counters.released;
}

bool any(const uint8_t* from, const uint8_t* to) {
  for (; from < to; ++from) {
    if (*from) return true;
  }
  return false;
}

void load_configuration(const uint8_t* memory, const uint8_t* at) {
  if (memory[0] == 0) return release();
  if (memory[0] > 1) fail("#GP: LDTILECFG: a palette beyond 1", at);
  if (any(memory + 2, memory + 16) || any(memory + 32, memory + 48) || any(memory + 56, memory + 64))
    fail("#GP: LDTILECFG: reserved bytes are not zero", at);
  State next{};
  next.configured = true;
  next.start_row = memory[1];
  for (int t = 0; t < kTiles; ++t) {
    Tile& tile = next.tiles[t];
    tile.row_bytes = memory[16 + 2 * t] | memory[17 + 2 * t] << 8;
    tile.rows = memory[48 + t];
    if (tile.row_bytes > kRowBytes || tile.rows > kRows) fail("#GP: LDTILECFG: a tile larger than 16 rows of 64 bytes", at);
    if ((tile.rows == 0) != (tile.row_bytes == 0)) fail("#GP: LDTILECFG: a tile with rows or columns only", at);
  }
  memcpy(&state, &next, sizeof state);
  ++counters.configured;
}

void store_configuration(uint8_t* memory) {
  memset(memory, 0, 64);
  if (!state.configured) return;
  memory[0] = 1;
  memory[1] = state.start_row;
  for (int t = 0; t < kTiles; ++t) {
    memory[16 + 2 * t] = static_cast<uint8_t>(state.tiles[t].row_bytes);
    memory[48 + t] = static_cast<uint8_t>(state.tiles[t].rows);
  }
}

// A tile that an instruction names.
Tile& named(int index, const uint8_t* at) {
  if (!state.configured) fail("#UD: tiles are not configured", at);
  if (index >= kTiles) fail("#UD: a tile beyond 7", at);
  Tile& tile = state.tiles[index];
  if (tile.rows == 0) fail("#UD: the tile has no rows in this configuration", at);
  return tile;
}

void load_rows(Tile& tile, const uint8_t* memory, int64_t stride) {
  // Through a copy: a fault leaves the tile as it was.
  Tile next{};
  for (int r = 0; r < tile.rows; ++r) memcpy(next.data[r], memory + r * stride, static_cast<size_t>(tile.row_bytes));
  memcpy(tile.data, next.data, sizeof tile.data);
  ++counters.loads;
}

void store_rows(const Tile& tile, uint8_t* memory, int64_t stride) {
  for (int r = 0; r < tile.rows; ++r) memcpy(memory + r * stride, tile.data[r], static_cast<size_t>(tile.row_bytes));
  ++counters.stores;
}

float widened(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Even and odd elements are summed apart, over all of K, and only then together and with what the tile held.
// Runs with denormals as zeros, to nearest even: see multiply().
__attribute__((noinline)) void accumulate(Tile& c, const Tile& a, const Tile& b) {
  const int pairs = a.row_bytes / 4, width = c.row_bytes / 4;
  for (int m = 0; m < c.rows; ++m) {
    float even[kPairs] = {}, odd[kPairs] = {};
    for (int k = 0; k < pairs; ++k) {
      uint16_t left[2], right[2 * kPairs];
      memcpy(left, a.data[m] + 4 * k, sizeof left);
      memcpy(right, b.data[k], sizeof right);
      const float first = widened(left[0]), second = widened(left[1]);
      for (int n = 0; n < kPairs; ++n) {
        even[n] = __builtin_fmaf(first, widened(right[2 * n]), even[n]);
        odd[n] = __builtin_fmaf(second, widened(right[2 * n + 1]), odd[n]);
      }
    }
    float sums[kPairs];
    memcpy(sums, c.data[m], sizeof sums);
    for (int n = 0; n < kPairs; ++n) sums[n] = n < width ? sums[n] + (even[n] + odd[n]) : 0.0f;
    memcpy(c.data[m], sums, sizeof sums);
  }
  for (int m = c.rows; m < kRows; ++m) memset(c.data[m], 0, kRowBytes);
}

void multiply(int c, int a, int b, const uint8_t* at) {
  if (c == a || c == b || a == b) fail("#UD: TDPBF16PS: a tile twice", at);
  Tile &sums = named(c, at), &left = named(a, at), &right = named(b, at);
  if (sums.row_bytes % 4 || left.row_bytes % 4 || right.row_bytes % 4) fail("#UD: TDPBF16PS: rows that are not of whole pairs", at);
  if (sums.row_bytes != right.row_bytes || sums.rows != left.rows || left.row_bytes / 4 != right.rows)
    fail("#UD: TDPBF16PS: tiles that do not fit each other", at);
  constexpr unsigned kFlushed = 0x9fc0;  // all exceptions masked, denormal operands and results are zeros, to nearest even
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kFlushed);
  accumulate(sums, left, right);
  _mm_setcsr(before);
  ++counters.products;
}

// Registers as instructions number them.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

struct Operand {
  uint64_t address = 0;
  int64_t stride = 0;  // of a tile: the index, scaled
  bool sib = false;
};

class Instruction {
 public:
  Instruction(const uint8_t* at, const mcontext_t& machine) : at_(at), machine_(machine) {}

  // A VEX prefix of three bytes, map 0F38, and one of three opcodes: what tile instructions have.
  bool is_tile() const {
    return at_[0] == 0xc4 && (at_[1] & 0x1f) == 2 && (at_[3] == 0x49 || at_[3] == 0x4b || at_[3] == 0x5c);
  }

  // Carries it out and tells its length.
  int run() {
    if (at_[2] & 0x80) fail("#UD: VEX.W is set", at_);
    if (at_[2] & 0x04) fail("#UD: VEX.L is set", at_);
    if (at_[3] == 0x49) return configuration();
    if (at_[3] == 0x4b) return move();
    return product();
  }

 private:
  enum Prefix { none = 0, p66 = 1, pF3 = 2, pF2 = 3 };
  int prefix() const { return at_[2] & 3; }
  int extension(int bit) const { return at_[1] & bit ? 0 : 8; }  // VEX.R, X and B are stored inverted
  int vvvv() const { return ~at_[2] >> 3 & 15; }
  uint8_t modrm() const { return at_[4]; }
  int mod() const { return modrm() >> 6; }
  int reg() const { return (modrm() >> 3 & 7) + extension(0x80); }
  int rm() const { return (modrm() & 7) + extension(0x20); }
  uint64_t value(int number) const { return static_cast<uint64_t>(machine_.gregs[kRegisters[number]]); }

  void no_third_operand() const {
    if (vvvv() != 0) fail("#UD: VEX.vvvv is not 1111b", at_);
  }

  int configuration() {
    no_third_operand();
    if (mod() == 3) {
      if (prefix() == none && modrm() == 0xc0 && !extension(0x20)) {
        release();
      } else if (prefix() == pF2 && (modrm() & 7) == 0) {
        Tile& tile = named(reg(), at_);
        memset(tile.data, 0, sizeof tile.data);
      } else {
        fail("#UD: no tile instruction", at_);
      }
      return 5;
    }
    if ((modrm() >> 3 & 7) != 0) fail("#UD: no tile instruction", at_);
    const Operand memory = operand();
    if (prefix() == none) {
      load_configuration(reinterpret_cast<const uint8_t*>(memory.address), at_);
    } else if (prefix() == p66) {
      store_configuration(reinterpret_cast<uint8_t*>(memory.address));
    } else {
      fail("#UD: no tile instruction", at_);
    }
    return length_;
  }

  int move() {
    no_third_operand();
    if (mod() == 3) fail("#UD: a tile move between registers", at_);
    if (prefix() == none) fail("#UD: no tile instruction", at_);
    Tile& tile = named(reg(), at_);
    if (state.start_row != 0) fail("a start row other than 0 is not emulated", at_);
    const Operand memory = operand();
    if (!memory.sib) fail("#UD: a tile move without SIB", at_);
    uint8_t* const at = reinterpret_cast<uint8_t*>(memory.address);
    if (prefix() == pF3) {
      store_rows(tile, at, memory.stride);
    } else {
      load_rows(tile, at, memory.stride);
    }
    return length_;
  }

  int product() {
    if (mod() != 3 || prefix() != pF3) fail("a product other than TDPBF16PS is not emulated", at_);
    multiply(reg(), rm(), vvvv(), at_);
    return 5;
  }

  // An address, and with SIB the scaled index apart. Sets the instruction's length.
  Operand operand() {
    Operand result;
    const uint8_t* next = at_ + 5;
    bool absolute = false, relative = false;
    if ((modrm() & 7) == 4) {
      const uint8_t sib = *next++;
      const int base = (sib & 7) + extension(0x20), index = (sib >> 3 & 7) + extension(0x40);
      result.sib = true;
      if (index != 4) result.stride = static_cast<int64_t>(value(index) << (sib >> 6));
      absolute = (sib & 7) == 5 && mod() == 0;
      if (!absolute) result.address = value(base);
    } else {
      relative = (modrm() & 7) == 5 && mod() == 0;
      if (!relative) result.address = value(rm());
    }
    if (mod() == 1) {
      result.address += static_cast<uint64_t>(static_cast<int64_t>(static_cast<int8_t>(*next)));
      next += 1;
    } else if (mod() == 2 || absolute || relative) {
      int32_t displacement;
      memcpy(&displacement, next, sizeof displacement);
      result.address += static_cast<uint64_t>(static_cast<int64_t>(displacement));
      next += 4;
    }
    length_ = static_cast<int>(next - at_);
    if (relative) result.address += reinterpret_cast<uint64_t>(next);
    // Only tiles have a stride; a configuration's address has its index added as any other.
    if (at_[3] == 0x49) result.address += static_cast<uint64_t>(result.stride);
    return result;
  }

  const uint8_t* at_;
  const mcontext_t& machine_;
  int length_ = 0;
};

void handle(int, siginfo_t*, void* given) {
  ucontext_t* const context = static_cast<ucontext_t*>(given);
  mcontext_t& machine = context->uc_mcontext;
  const int error = errno;
  const uint8_t* at = reinterpret_cast<const uint8_t*>(machine.gregs[REG_RIP]);
  if (!Instruction(at, machine).is_tile()) fail("an illegal instruction that is no tile instruction", at);
  // Tile instructions come one after another: none of them touches a register.
  while (true) {
    Instruction instruction(at, machine);
    if (!instruction.is_tile()) break;
    at += instruction.run();
  }
  machine.gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<uint64_t>(at));
  errno = error;
}

void report() {
  const char* const path = getenv("AMX_EMULATOR_LOG");
  FILE* const file = path && counters.configured > 0 ? fopen(path, "a") : nullptr;
  if (!file) return;
  fprintf(file, "{\"configured\":%ld,\"released\":%ld,\"loads\":%ld,\"stores\":%ld,\"products\":%ld}\n", counters.configured.load(),
          counters.released.load(), counters.loads.load(), counters.stores.load(), counters.products.load());
  fclose(file);
}

__attribute__((constructor)) void install() {
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;  // not reset, and a fault inside of it is told as what it is
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGILL, &action, nullptr) != 0) abort();
  atexit(report);
}

}  // namespace

// glibc has no function of its own for arch_prctl: programs ask by syscall().
extern "C" long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  if (number == SYS_arch_prctl && arguments[0] == kRequestPermission && arguments[1] == kTileData) {
    const char* const refuse = getenv("AMX_EMULATOR_REFUSE");
    if (!refuse || strcmp(refuse, "1") != 0) return 0;
    errno = EPERM;
    return -1;
  }
  using Syscall = long (*)(long, ...);
  static const Syscall real = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

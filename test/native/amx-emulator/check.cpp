// Tile instructions against what the manual says, computed here a second time in another way: the emulator's, or the processor's own
// where it has them, which shows that the manual has been read as it is meant. Instructions are given as bytes, so that neither a
// compiler nor an assembler has to know them.
//   check          everything that works; the number of failures is the exit code
//   check NAME     one instruction that a processor refuses: ends by the emulator's message, or by the signal
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <thread>

namespace {

int failures = 0;

void expect(bool right, const char* what) {
  if (right) return;
  printf("wrong: %s\n", what);
  ++failures;
}

struct Configuration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
  Configuration& tile(int t, int r, int bytes) {
    rows[t] = static_cast<uint8_t>(r);
    row_bytes[t] = static_cast<uint16_t>(bytes);
    return *this;
  }
};
static_assert(sizeof(Configuration) == 64, "as LDTILECFG reads it");

Configuration full() {
  Configuration all;
  for (int t = 0; t < 8; ++t) all.tile(t, 16, 64);
  return all;
}

void configure(const Configuration& c) { asm volatile(".byte 0xc4,0xe2,0x78,0x49,0x07" ::"D"(&c) : "memory"); }
void stored_configuration(Configuration& c) { asm volatile(".byte 0xc4,0xe2,0x79,0x49,0x07" ::"D"(&c) : "memory"); }
void release() { asm volatile(".byte 0xc4,0xe2,0x78,0x49,0xc0" ::: "memory"); }
void zero_3() { asm volatile(".byte 0xc4,0xe2,0x7b,0x49,0xd8"); }
// A tile of number t from or to (rdi + rsi).
#define LOAD(t, at, stride) asm volatile(".byte 0xc4,0xe2,0x7b,0x4b,0x04+8*" #t ",0x37" ::"D"(at), "S"(static_cast<long>(stride)) : "memory")
#define STORE(t, at, stride) asm volatile(".byte 0xc4,0xe2,0x7a,0x4b,0x04+8*" #t ",0x37" ::"D"(at), "S"(static_cast<long>(stride)) : "memory")
void multiply_012() { asm volatile(".byte 0xc4,0xe2,0x6a,0x5c,0xc1"); }  // tmm0 += tmm1 · tmm2
void multiply_765() { asm volatile(".byte 0xc4,0xe2,0x52,0x5c,0xfe"); }  // tmm7 += tmm6 · tmm5

uint8_t from[4096], to[4096];

void number(uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 251);
}

void configurations() {
  Configuration got;
  memset(static_cast<void*>(&got), 0xff, sizeof got);
  stored_configuration(got);
  Configuration none;
  none.palette = 0;
  expect(memcmp(&got, &none, 64) == 0, "STTILECFG without a configuration: zeros");
  const Configuration some = Configuration().tile(0, 3, 12).tile(5, 16, 64);
  configure(some);
  stored_configuration(got);
  expect(memcmp(&got, &some, 64) == 0, "STTILECFG gives back what LDTILECFG took");
  configure(none);
  stored_configuration(got);
  expect(memcmp(&got, &none, 64) == 0, "palette 0 releases");
  configure(some);
  release();
  stored_configuration(got);
  expect(memcmp(&got, &none, 64) == 0, "TILERELEASE");
  // With a displacement and an index.
  static Configuration fixed = some;
  asm volatile(".byte 0xc4,0xe2,0x78,0x49,0x44,0x37,0xf0" ::"D"(reinterpret_cast<char*>(&fixed) - 100), "S"(116L) : "memory");
  stored_configuration(got);
  expect(memcmp(&got, &some, 64) == 0, "LDTILECFG disp8(base, index)");
  asm volatile(".byte 0xc4,0xe2,0x78,0x49,0x05\n\t.long %c0 - 1f\n1:" ::"i"(&fixed) : "memory");
  stored_configuration(got);
  expect(memcmp(&got, &some, 64) == 0, "LDTILECFG relative to the instruction");
  release();
}

// Tile 0 holds 16 rows of 64 bytes, the first of them from `first` on and each `step` after the one before.
void expect_loaded(const uint8_t* first, long step, const char* what) {
  STORE(0, to, 64);
  bool right = true;
  for (int r = 0; r < 16; ++r) right = right && memcmp(to + 64 * r, first + step * r, 64) == 0;
  expect(right, what);
}

void moves() {
  number(from, sizeof from);
  configure(Configuration().tile(0, 16, 64).tile(1, 5, 20).tile(3, 16, 64));
  LOAD(1, from, 33);
  memset(to, 0xaa, sizeof to);
  STORE(1, to, 100);
  bool right = true;
  for (int r = 0; r < 16; ++r) {
    for (int i = 0; i < 100; ++i) right = right && to[r * 100 + i] == (r < 5 && i < 20 ? from[r * 33 + i] : 0xaa);
  }
  expect(right, "TILELOADD and TILESTORED: rows and bytes of the configuration, nothing else");

  LOAD(0, from + 2000, -64);
  memset(to, 0, sizeof to);
  expect_loaded(from + 2000, -64, "a negative stride");

  LOAD(0, from, 0);
  expect_loaded(from, 0, "a stride of 0: one row for all");

  // TILELOADDT1 tmm0, 0x10(%r9, %r10, 2): displacement, scale, registers beyond 7.
  {
    register const uint8_t* base asm("r9") = from;
    register long index asm("r10") = 48;
    asm volatile(".byte 0xc4,0x82,0x79,0x4b,0x44,0x51,0x10" ::"r"(base), "r"(index) : "memory");
  }
  expect_loaded(from + 16, 96, "disp8(r9, r10, 2)");

  // TILELOADD tmm0, 0x100(%r12, %rax, 8), and with r13, which has no form without a displacement.
  {
    register const uint8_t* base asm("r12") = from;
    asm volatile(".byte 0xc4,0xc2,0x7b,0x4b,0x84,0xc4,0x00,0x01,0x00,0x00" ::"r"(base), "a"(9L) : "memory");
  }
  expect_loaded(from + 256, 72, "disp32(r12, rax, 8)");
  {
    register const uint8_t* base asm("r13") = from;
    asm volatile(".byte 0xc4,0xc2,0x7b,0x4b,0x44,0x05,0x00" ::"r"(base), "a"(80L) : "memory");
  }
  expect_loaded(from, 80, "0(r13, rax)");
  // TILELOADD tmm0, (%rdi) with SIB and no index: a stride of 0.
  asm volatile(".byte 0xc4,0xe2,0x7b,0x4b,0x04,0x27" ::"D"(from + 5) : "memory");
  expect_loaded(from + 5, 0, "no index");

  LOAD(3, from, 64);
  zero_3();
  STORE(3, to, 64);
  right = true;
  for (int i = 0; i < 1024; ++i) right = right && to[i] == 0;
  expect(right, "TILEZERO");

  LOAD(0, from, 64);
  configure(full());
  STORE(0, to, 64);
  right = true;
  for (int i = 0; i < 1024; ++i) right = right && to[i] == 0;
  expect(right, "LDTILECFG zeroes the tiles");
  release();
}

float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
uint32_t as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
// To nearest even once: 113 bits hold every sum of these tests exactly.
float rounded(__float128 exact) {
  const float value = static_cast<float>(exact);
  return flushed(value);
}

struct Random {
  uint64_t state = 88172645463325252u;
  uint32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>(state >> 16);
  }
  // Of exponents within ±spread of 1.
  uint16_t bf16(int spread) {
    const uint32_t exponent = 127u - static_cast<uint32_t>(spread) + next() % static_cast<uint32_t>(2 * spread + 1);
    return static_cast<uint16_t>((next() & 1) << 15 | exponent << 7 | (next() & 127));
  }
};

struct Product {
  int rows, pairs, width;
  uint16_t a[16][32], b[16][32];
  float c[16][16], got[16][16];
};

// By the manual's words: in each row and column, sums of even and of odd elements, then both together, then what the tile held.
float expected(const Product& p, int m, int n) {
  float sum[2] = {0, 0};
  for (int k = 0; k < p.pairs; ++k) {
    for (int half = 0; half < 2; ++half) {
      const __float128 x = flushed(as_float(static_cast<uint32_t>(p.a[m][2 * k + half]) << 16));
      const __float128 y = flushed(as_float(static_cast<uint32_t>(p.b[k][2 * n + half]) << 16));
      sum[half] = rounded(x * y + flushed(sum[half]));
    }
  }
  const float both = rounded(static_cast<__float128>(sum[0]) + sum[1]);
  return rounded(static_cast<__float128>(flushed(p.c[m][n])) + both);
}

void run(Product& p) {
  configure(full().tile(0, p.rows, 4 * p.width).tile(1, p.rows, 4 * p.pairs).tile(2, p.pairs, 4 * p.width));
  LOAD(0, p.c, 64);
  LOAD(1, p.a, 64);
  LOAD(2, p.b, 64);
  multiply_012();
  memset(p.got, 0, sizeof p.got);
  STORE(0, p.got, 64);
  release();
}

void products() {
  Random random;
  for (int round = 0; round < 400; ++round) {
    Product p{};
    p.rows = 1 + static_cast<int>(random.next() % 16);
    p.pairs = 1 + static_cast<int>(random.next() % 16);
    p.width = 1 + static_cast<int>(random.next() % 16);
    const int spread = round % 4 == 0 ? 2 : 20;
    for (auto& row : p.a) {
      for (uint16_t& x : row) x = random.bf16(spread);
    }
    for (auto& row : p.b) {
      for (uint16_t& x : row) x = random.bf16(spread);
    }
    for (auto& row : p.c) {
      for (float& x : row) x = as_float(static_cast<uint32_t>(random.bf16(spread)) << 16 | (random.next() & 0xffff));
    }
    run(p);
    bool right = true;
    for (int m = 0; m < 16; ++m) {
      for (int n = 0; n < 16; ++n) {
        const float want = m < p.rows && n < p.width ? expected(p, m, n) : 0.0f;
        right = right && as_bits(p.got[m][n]) == as_bits(want);
      }
    }
    expect(right, "TDPBF16PS of random tiles");
  }
}

// One row and column: c + a₀·b₀ + a₁·b₁.
float dot(uint32_t c, uint16_t a0, uint16_t b0, uint16_t a1, uint16_t b1) {
  Product p{};
  p.rows = p.pairs = p.width = 1;
  p.c[0][0] = as_float(c);
  p.a[0][0] = a0;
  p.a[0][1] = a1;
  p.b[0][0] = b0;
  p.b[0][1] = b1;
  run(p);
  return p.got[0][0];
}

void corners() {
  constexpr uint16_t one = 0x3f80, tiny = 0x0001, least = 0x0080, half = 0x3f00, infinity = 0x7f80, nan = 0x7fc0, big = 0x7f00;
  expect(as_bits(dot(0x3f800000, tiny, big, 0, 0)) == 0x3f800000, "a denormal operand is zero");
  expect(as_bits(dot(0, least, half, 0, 0)) == 0, "a denormal sum is zero");
  expect(as_bits(dot(0, least, half, least, half)) == 0, "each of two denormal sums is zero before they meet");
  expect(as_bits(dot(0x00000001, 0, 0, 0, 0)) == 0, "a denormal in the tile is zero");
  expect(as_bits(dot(0, least, one, 0, 0)) == 0x00800000, "the least normal number stays");
  expect(isinf(dot(0, infinity, one, 0, 0)), "infinity");
  expect(isnan(dot(0, infinity, 0, 0, 0)), "infinity times zero");
  expect(isnan(dot(0, nan, one, 0, 0)), "NaN");
  expect(isinf(dot(0, big, big, 0, 0)), "overflow");
  // 1 + 2⁻²⁴ is halfway: to even, down; 1 + 3·2⁻²⁴ up.
  expect(as_bits(dot(0x3f800000, 0x3380, one, 0, 0)) == 0x3f800000, "halfway to even, down");
  expect(as_bits(dot(0x3f800001, 0x3380, one, 0, 0)) == 0x3f800002, "halfway to even, up");
  // Pairs meet before they meet the tile: 2⁻²⁴ + 2⁻²⁴ = 2⁻²³ counts, each alone would not.
  expect(as_bits(dot(0x3f800000, 0x3380, one, 0x3380, one)) == 0x3f800001, "the two sums meet first");
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr((before & ~0x6000u) | 0x4000u);  // towards +∞
  const float up = dot(0x3f800000, 0x3380, one, 0, 0);
  const unsigned kept = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before);
  expect(as_bits(up) == 0x3f800000, "MXCSR is not consulted");
  expect((kept & 0xffc0u) == (((before & ~0x6000u) | 0x4000u) & 0xffc0u), "MXCSR is not changed");
}

void threads() {
  number(from, sizeof from);
  configure(full());
  LOAD(0, from, 64);
  bool other = false;
  std::thread([&] {
    configure(full());
    LOAD(0, from + 1024, 64);
    uint8_t mine[1024];
    STORE(0, mine, 64);
    other = memcmp(mine, from + 1024, 1024) == 0;
    release();
  }).join();
  expect(other, "a thread has tiles of its own");
  STORE(0, to, 64);
  expect(memcmp(to, from, 1024) == 0, "another thread's tiles leave this one's alone");
  LOAD(7, to, 64);
  LOAD(6, from, 64);
  LOAD(5, from, 64);
  multiply_765();
  release();
}

int bad(const char* name) {
  const auto is = [&](const char* other) { return strcmp(name, other) == 0; };
  Configuration c = full();
  if (is("palette")) c.palette = 2;
  if (is("reserved")) c.reserved[3] = 1;
  if (is("beyond")) c.tile(8, 16, 64);
  if (is("rows")) c.tile(2, 17, 64);
  if (is("bytes")) c.tile(2, 16, 65);
  if (is("half")) c.tile(2, 16, 0);
  if (is("missing")) c.tile(1, 0, 0);
  if (is("shape")) c.tile(1, 15, 64);
  if (!is("none")) configure(c);
  if (is("none") || is("missing") || is("shape")) multiply_012();
  if (is("twice")) asm volatile(".byte 0xc4,0xe2,0x72,0x5c,0xc1");    // tmm0 += tmm1 · tmm1
  if (is("vvvv")) asm volatile(".byte 0xc4,0xe2,0x6b,0x4b,0x04,0x37" ::"D"(from), "S"(64L));
  if (is("width")) asm volatile(".byte 0xc4,0xe2,0x6e,0x5c,0xc1");    // VEX.L
  if (is("nosib")) asm volatile(".byte 0xc4,0xe2,0x7b,0x4b,0x07" ::"D"(from));
  if (is("int8")) asm volatile(".byte 0xc4,0xe2,0x6b,0x5e,0xc1");     // TDPBSSD
  if (is("ud2")) asm volatile("ud2");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) {  // ARCH_REQ_XCOMP_PERM: tile data
    printf("the system refused permission\n");
    return 1;
  }
  if (count > 1) return bad(arguments[1]);
  configurations();
  moves();
  products();
  corners();
  threads();
  printf("%d failures\n", failures);
  return failures;
}

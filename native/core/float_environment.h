// How a thread rounds, and whether it flushes denormals: a new thread has that of the one that made it, which may be a
// stranger's that has changed it. Results must not depend on which thread computes them.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace polyadic {

// The standard's own, on this thread, until it is destroyed.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() : before_(read()) { write(kDefault); }
  ~DefaultFloatEnvironment() { write(before_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
#if defined(__x86_64__) || defined(_M_X64)
  using Word = unsigned int;
  static constexpr Word kDefault = 0x1f80;  // all exceptions masked, to the nearest, denormals kept
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__) && defined(__GNUC__)
  using Word = std::uint64_t;
  static constexpr Word kDefault = 0;
  static Word read() {
    Word word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { __asm__ __volatile__("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = int;
  static constexpr Word kDefault = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif

  Word before_;
};

}  // namespace polyadic

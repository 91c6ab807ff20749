// Looking out for what another thread does, awake: to be woken takes 10 µs, on a virtual machine up to 100.
#pragma once

#include <chrono>
#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace polyadic {

// Tells the processor that this thread only waits.
inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ __volatile__("yield");
#endif
}

// Whether there() came true in time. Gives the core away now and then: somebody may need it to make it come true.
template <class Condition>
bool spin_until(Condition&& there, std::chrono::steady_clock::duration patience) {
  using Clock = std::chrono::steady_clock;
  for (const Clock::time_point began = Clock::now();;) {
    for (int i = 0; i < 64; ++i) {
      if (there()) return true;
      relax();
    }
    if (Clock::now() - began > patience) return false;
    std::this_thread::yield();
  }
}

}  // namespace polyadic

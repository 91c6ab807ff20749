// Parallel loops, by a team of our own threads: parallel.cpp.
#pragma once

#include <cstdint>
#include <type_traits>

namespace polyadic {

using ParallelBody = void (*)(void* context, std::int64_t index, int thread);

// What each thread of a loop does before its first index and after its last: registers that have to be set up, and are
// not left set up in threads that others may own. Either may be null; neither may throw.
struct ThreadScope {
  void (*enter)() = nullptr;
  void (*leave)() = nullptr;
};

// Calls body(context, i, thread) once for each i in [0, count), with thread in [0, threads).
// Which thread takes which index is not fixed: results must not depend on it. The body must not throw.
void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context, ThreadScope scope);

// f(index, thread)
template <class F>
void parallel_for(int threads, std::int64_t count, F&& f, ThreadScope scope = {}) {
  if (threads <= 1 || count <= 1) {
    if (scope.enter) scope.enter();
    for (std::int64_t i = 0; i < count; ++i) f(i, 0);
    if (scope.leave) scope.leave();
    return;
  }
  using Body = std::remove_reference_t<F>;
  run_parallel(
      threads, count, [](void* context, std::int64_t i, int thread) { (*static_cast<Body*>(context))(i, thread); },
      const_cast<void*>(static_cast<const void*>(&f)), scope);
}

}  // namespace polyadic

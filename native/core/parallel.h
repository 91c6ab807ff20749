// Parallel loops. The only file with a threading runtime behind it is parallel.cpp.
#pragma once

#include <cstdint>
#include <type_traits>

namespace polyadic {

using ParallelBody = void (*)(void* context, std::int64_t index, int thread);

// Calls body(context, i, thread) once for each i in [0, count), with thread in [0, threads).
// Which thread takes which index is not fixed: results must not depend on it. The body must not throw.
void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context);

// f(index, thread)
template <class F>
void parallel_for(int threads, std::int64_t count, F&& f) {
  if (threads <= 1 || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) f(i, 0);
    return;
  }
  using Body = std::remove_reference_t<F>;
  run_parallel(
      threads, count, [](void* context, std::int64_t i, int thread) { (*static_cast<Body*>(context))(i, thread); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// "openmp" or "std::thread"
const char* parallel_backend();

}  // namespace polyadic

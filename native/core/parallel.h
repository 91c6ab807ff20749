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

  class Guard {
   public:
    explicit Guard(const ThreadScope& scope) : leave_(scope.leave) {
      if (scope.enter) scope.enter();
    }
    ~Guard() {
      if (leave_) leave_();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    void (*leave_)();
  };
};

// Calls body(context, i, thread) once for each i in [0, count), with thread in [0, threads).
// Which thread takes which index is not fixed: results must not depend on it. When the body throws, indices that have
// not begun are dropped, and the first exception is thrown on once all threads have let go.
void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context, ThreadScope scope);

// f(index, thread)
template <class F>
void parallel_for(int threads, std::int64_t count, F&& f, ThreadScope scope = {}) {
  if (threads <= 1 || count <= 1) {
    const ThreadScope::Guard guard(scope);
    for (std::int64_t i = 0; i < count; ++i) f(i, 0);
    return;
  }
  using Body = std::remove_reference_t<F>;
  run_parallel(
      threads, count, [](void* context, std::int64_t i, int thread) { (*static_cast<Body*>(context))(i, thread); },
      const_cast<void*>(static_cast<const void*>(&f)), scope);
}

}  // namespace polyadic

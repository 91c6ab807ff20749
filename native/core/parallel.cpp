#include "parallel.h"

#ifdef _OPENMP
#include <omp.h>
#else
#include <atomic>
#include <thread>
#include <vector>
#endif

namespace polyadic {

#ifdef _OPENMP

void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context, ThreadScope scope) {
  const int team = static_cast<int>(count < threads ? count : threads);
#pragma omp parallel num_threads(team)
  {
    if (scope.enter) scope.enter();
#pragma omp for schedule(dynamic, 1) nowait
    for (std::int64_t i = 0; i < count; ++i) body(context, i, omp_get_thread_num());
    if (scope.leave) scope.leave();
  }
}

const char* parallel_backend() { return "openmp"; }

#else

void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context, ThreadScope scope) {
  const int team = static_cast<int>(count < threads ? count : threads);
  std::atomic<std::int64_t> next{0};
  const auto work = [&](int thread) {
    if (scope.enter) scope.enter();
    for (std::int64_t i = next++; i < count; i = next++) body(context, i, thread);
    if (scope.leave) scope.leave();
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<std::size_t>(team));
  for (int thread = 1; thread < team; ++thread) helpers.emplace_back(work, thread);
  work(0);
  for (std::thread& helper : helpers) helper.join();
}

const char* parallel_backend() { return "std::thread"; }

#endif

}  // namespace polyadic

// The one compute thread of the process, which owns the team of worker threads: jobs of all environments queue on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "job.h"

namespace polyadic::binding {

class Executor {
 public:
  // A leaked singleton with a detached thread: it outlives every environment. Throws Error(native) where the system
  // gives no thread.
  static Executor& instance();

  void push(Job* job);

  // Takes a job back that has not begun; whether it had not.
  bool withdraw(const Job* job);

  // Drops what the environment has queued, stops what it has running, and waits until that has let go. Afterwards the
  // compute thread knows nothing of the environment.
  void drain(const Environment* environment);

 private:
  Executor();
  [[noreturn]] void loop();
  Job* next();
  Job* pop();
  template <class Condition>
  bool unlink(Condition&& leaves);

  std::mutex mutex_;  // guards everything below but queued_
  std::condition_variable wake_, idle_;
  Job* first_ = nullptr;  // of the queue, linked by next_queued_
  Job* last_ = nullptr;
  Job* running_ = nullptr;
  const Environment* busy_for_ = nullptr;  // whose job is running or just being reported
  bool asleep_ = false;
  std::atomic<int> queued_{0};
  bool spinning_ = false;  // the compute thread's own
};

}  // namespace polyadic::binding

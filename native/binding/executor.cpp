#include "executor.h"

#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "../core/float_environment.h"
#include "../core/spin.h"
#include "../core/status.h"
#include "environment.h"

namespace polyadic::binding {
namespace {

using Clock = std::chrono::steady_clock;

// Waking this thread costs the caller a system call besides. Where the next job is likely to come within this time, the
// thread looks out for it instead. A caller that waits for each result has to wake up itself before it sends the next
// job: the time is twice the longest wakening.
constexpr auto kSpin = std::chrono::microseconds(200);

bool has_other_cores() {
  static const bool several = std::thread::hardware_concurrency() > 1;
  return several;
}

}  // namespace

Executor& Executor::instance() {
  static Executor* executor = new Executor();
  return *executor;
}

Executor::Executor() {
  try {
    std::thread([this] { loop(); }).detach();
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::native, std::string("the system gives no thread to compute on: ") + error.what());
  }
}

void Executor::push(Job* job) {
  bool asleep;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job->next_queued_ = nullptr;
    (last_ ? last_->next_queued_ : first_) = job;
    last_ = job;
    queued_.fetch_add(1, std::memory_order_release);
    asleep = asleep_;
  }
  if (asleep) wake_.notify_one();
}

bool Executor::withdraw(const Job* job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return unlink([&](const Job& queued) { return &queued == job; });
}

// Takes jobs out of the queue; whether there were any. The caller holds the mutex.
template <class Condition>
bool Executor::unlink(Condition&& leaves) {
  Job* kept = nullptr;
  bool any = false;
  for (Job* job = first_; job;) {
    Job* next = job->next_queued_;
    if (leaves(*job)) {
      (kept ? kept->next_queued_ : first_) = next;
      queued_.fetch_sub(1, std::memory_order_relaxed);
      any = true;
    } else {
      kept = job;
    }
    job = next;
  }
  last_ = kept;
  return any;
}

void Executor::drain(const Environment* environment) {
  std::unique_lock<std::mutex> lock(mutex_);
  unlink([&](const Job& job) { return job.environment_ == environment; });
  if (running_ && busy_for_ == environment) running_->control_.cancel();
  idle_.wait(lock, [&] { return busy_for_ != environment; });
}

void Executor::loop() {
  const DefaultFloatEnvironment rounding;
  for (;;) {
    Job* job = next();
    try {
      job->control_.check();
      job->execute(job->control_);
    } catch (...) {
      job->failure_ = std::current_exception();
    }
    Environment* environment = job->environment_;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      running_ = nullptr;
    }
    // From here on the JavaScript thread may destroy the job. The thread counts as busy until this returns: drain()
    // must not return while the environment may still be called.
    environment->finished(job);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      busy_for_ = nullptr;
    }
    idle_.notify_all();
  }
}

Job* Executor::next() {
  if (spinning_) spinning_ = spin_until([this] { return queued_.load(std::memory_order_acquire) > 0; }, kSpin);
  std::unique_lock<std::mutex> lock(mutex_);
  if (Job* job = pop()) return job;
  const Clock::time_point slept = Clock::now();
  asleep_ = true;
  wake_.wait(lock, [&] { return first_ != nullptr; });
  asleep_ = false;
  // A job that came so soon would have been met by spinning, on a machine where that takes nothing from its sender.
  spinning_ = has_other_cores() && Clock::now() - slept < kSpin;
  return pop();
}

// Takes the first job off the queue and counts it as running; null when there is none. The caller holds the mutex.
Job* Executor::pop() {
  Job* job = first_;
  if (!job) return nullptr;
  first_ = job->next_queued_;
  if (!first_) last_ = nullptr;
  queued_.fetch_sub(1, std::memory_order_relaxed);
  running_ = job;
  busy_for_ = job->environment_;
  return job;
}

}  // namespace polyadic::binding

#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "float_environment.h"
#include "spin.h"

namespace polyadic {
namespace {

// How long a helper looks out for the next loop before it sleeps. Between the loops of one run lie microseconds.
constexpr auto kSpin = std::chrono::microseconds(300);

// After the system has refused a thread, how long none is asked for.
constexpr auto kRefused = std::chrono::seconds(1);

// The helpers of the process, lent to one loop at a time. A loop never waits for a helper to come, only for those that
// have come to finish their last index: one that wakes up late, or never because the system gave no thread or the
// process was forked, costs nothing but its help.
class Team {
 public:
  // Leaked, and its threads are detached: they may outlive every thread of JavaScript.
  static Team& instance() {
    static Team* team = new Team();
    return *team;
  }

  // Whether the team was free; if not, nothing has been done.
  bool run(int threads, std::int64_t count, ParallelBody body, void* context, const ThreadScope& scope) {
    if (lent_.exchange(true, std::memory_order_acquire)) return false;
    const int helpers = std::min(threads, kMaxThreads) - 1;
    hire(helpers);
    body_ = body;
    context_ = context;
    scope_ = scope;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    state_.store(static_cast<std::uint32_t>(helpers) * kSeat);
    if (asleep_.load() > 0) wake(helpers);
    work(0);
    state_.fetch_and(kAtWork, std::memory_order_relaxed);  // whoever has not come yet need not
    while (!spin_until([&] { return state_.load(std::memory_order_acquire) == 0; }, kSpin)) {
    }
    const std::exception_ptr failure = std::exchange(failure_, nullptr);
    lent_.store(false, std::memory_order_release);
    if (failure) std::rethrow_exception(failure);
    return true;
  }

 private:
  // state_: helpers at work, and above them the seats that are still free.
  static constexpr std::uint32_t kSeat = 1u << 16, kAtWork = kSeat - 1;
  static constexpr int kMaxThreads = 1024;

  void hire(int helpers) {
    if (hired_ >= helpers || std::chrono::steady_clock::now() < hire_again_) return;
    try {
      for (; hired_ < helpers; ++hired_) std::thread([this] { help(); }).detach();
    } catch (...) {
      // No more threads, or no memory for one: the loop is done with those there are.
      hire_again_ = std::chrono::steady_clock::now() + kRefused;
    }
  }

  void wake(int helpers) {
    // Whoever counts as asleep but holds the mutex still is about to look at state_ or to wait.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    // Not all: there may be many more of them than this loop wants.
    for (int i = 0; i < helpers; ++i) wake_.notify_one();
  }

  [[noreturn]] void help() {
    const DefaultFloatEnvironment rounding;
    const auto free_seat = [this] { return state_.load() >= kSeat; };
    for (;;) {
      if (!spin_until(free_seat, kSpin)) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_.fetch_add(1);
        wake_.wait(lock, free_seat);
        asleep_.fetch_sub(1);
      }
      if (const int thread = take_seat()) {
        work(thread);
        state_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  // The number of the seat, which is that of the thread in this loop; 0 when none was left.
  int take_seat() {
    std::uint32_t state = state_.load();
    while (state >= kSeat) {
      if (state_.compare_exchange_weak(state, state - kSeat + 1, std::memory_order_acquire, std::memory_order_relaxed))
        return static_cast<int>(state / kSeat);
    }
    return 0;
  }

  void work(int thread) {
    const auto take = [this] { return next_.fetch_add(1, std::memory_order_relaxed); };
    std::int64_t i = take();
    if (i >= count_) return;
    const ThreadScope::Guard guard(scope_);
    try {
      for (; i < count_; i = take()) body_(context_, i, thread);
    } catch (...) {
      next_.store(count_, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  std::atomic<bool> lent_{false};
  int hired_ = 0;
  std::chrono::steady_clock::time_point hire_again_;
  // The loop: written by its owner before there are seats, read by those who have taken one.
  ParallelBody body_ = nullptr;
  void* context_ = nullptr;
  ThreadScope scope_;
  std::int64_t count_ = 0;
  std::exception_ptr failure_;  // guarded by mutex_ while the loop runs
  // Lines of their own: next_ goes from core to core, state_ is what everybody looks at.
  alignas(64) std::atomic<std::int64_t> next_{0};
  alignas(64) std::atomic<std::uint32_t> state_{0};
  alignas(64) std::atomic<int> asleep_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace

void run_parallel(int threads, std::int64_t count, ParallelBody body, void* context, ThreadScope scope) {
  const int team = static_cast<int>(std::min<std::int64_t>(count, threads));
  if (Team::instance().run(team, count, body, context, scope)) return;
  // The team works for another thread of the process, or this is within one of its loops: the cores have enough to do.
  parallel_for(
      1, count, [&](std::int64_t i, int thread) { body(context, i, thread); }, scope);
}

}  // namespace polyadic

// A piece of work for the compute thread, and the errors that cross the boundary.
#pragma once

#include <napi.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "../core/float_environment.h"
#include "../core/job_control.h"

namespace polyadic::binding {

class Environment;

// Keeps JavaScript values (whose memory native code reads or writes) alive, by one reference that is made once.
class Pins {
 public:
  void add(Napi::Env env, const Napi::Value& value) {
    if (list_.IsEmpty()) list_ = Napi::Persistent(Napi::Array::New(env).As<Napi::Object>());
    list_.Value().Set(count_++, value);
  }
  void clear(Napi::Env env) {
    const Napi::Value nothing = env.Undefined();
    const Napi::Object list = count_ > 0 ? list_.Value() : Napi::Object();
    while (count_ > 0) list.Set(--count_, nothing);
  }

 private:
  Napi::ObjectReference list_;
  std::uint32_t count_ = 0;
};

// Life of a job:
// - constructor (JavaScript thread): copies its options out of V8, holds on to the buffers it will touch
// - execute (compute thread): the work; may throw anything, must not touch Node-API
// - result (JavaScript thread): makes the value the caller is given
// - retire (JavaScript thread): the end of it, or back to where it is kept for the next call
// The environment owns it from submit() to retire(): the compute thread only ever borrows it, so it is never destroyed
// there.
class Job {
 public:
  Job() = default;
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  virtual void execute(JobControl& control) = 0;
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
  virtual void retire(Napi::Env, std::unique_ptr<Job> self) { self.reset(); }

 protected:
  // Called on the JavaScript thread with the job's progress; thinned out to one call each 50 ms at most.
  void on_progress(const Napi::Value& callback) {
    if (callback.IsFunction()) progress_ = Napi::Persistent(callback.As<Napi::Function>());
  }

 private:
  friend class Environment;
  friend class Executor;

  void report(std::int64_t step, double value);  // compute thread

  JobControl control_{[this](std::int64_t step, double value) { report(step, value); }};
  std::exception_ptr failure_;
  Environment* environment_ = nullptr;
  Napi::FunctionReference progress_;
  double id_ = 0;
  std::size_t place_ = 0;  // among the environment's jobs

  // The lists that it may stand in are intrusive, so that handing a job on allocates nothing.
  Job* next_queued_ = nullptr;  // guarded by the executor's mutex

  // Guarded by the environment's mutex.
  Job* next_done_ = nullptr;
  Job* next_reported_ = nullptr;
  bool reported_ = false;
  std::int64_t step_ = 0;
  double value_ = 0;
  std::chrono::steady_clock::time_point last_report_{};
};

// Queues the job on the compute thread and returns its number, by which it can be cancelled and under which it is
// reported: see NativeAddon of lib/native/binding.ts.
Napi::Value submit(Napi::Env env, std::unique_ptr<Job> job);

// The JavaScript error of a native one: an Error with code 'POLYADIC_…'.
Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure);

// Runs f on the JavaScript thread, in the default floating-point environment, turning native errors into JavaScript
// ones.
template <class F>
auto guarded(Napi::Env env, F&& f) -> decltype(f()) {
  const DefaultFloatEnvironment rounding;
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_javascript(env, std::current_exception());
  }
}

}  // namespace polyadic::binding

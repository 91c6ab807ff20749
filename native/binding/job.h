// A piece of work for the compute thread, and the errors that cross the boundary.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "../core/job_control.h"

namespace polyadic::binding {

class Environment;

// Life of a job:
// - constructor (JavaScript thread): copies its options out of V8, pins the buffers it will touch with pin()
// - execute (compute thread): the work; may throw anything, must not touch Node-API
// - result (JavaScript thread): makes the value the promise resolves with
// - destructor (JavaScript thread)
class Job {
 public:
  explicit Job(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  virtual void execute(JobControl& control) = 0;
  virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }

 protected:
  // Keeps a JavaScript value (an ArrayBuffer's owner, a plan) alive until the job has settled.
  void pin(const Napi::Value& value) {
    if (value.IsObject()) pinned_.push_back(Napi::Persistent(value.As<Napi::Object>()));
  }
  // Called on the JavaScript thread with the job's progress; thinned out to one call each 50 ms at most.
  void on_progress(const Napi::Value& callback) {
    if (callback.IsFunction()) progress_ = Napi::Persistent(callback.As<Napi::Function>());
  }

 private:
  friend class Environment;
  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> pinned_;
  Napi::FunctionReference progress_;
};

// Queues the job on the compute thread and returns { promise, cancel() }: the NativeJob of lib/native/binding.ts.
Napi::Object submit(Napi::Env env, std::unique_ptr<Job> job);

// The JavaScript error of what is being handled (call in a catch block): an Error with code 'POLYADIC_…'.
Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure);

// Runs f on the JavaScript thread, turning native errors into JavaScript ones.
template <class F>
auto guarded(Napi::Env env, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_javascript(env, std::current_exception());
  }
}

}  // namespace polyadic::binding

#include "environment.h"

#include <new>
#include <string>
#include <utility>

#include "addon.h"
#include "executor.h"

namespace polyadic::binding {
namespace {

constexpr auto kReportInterval = std::chrono::milliseconds(50);

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::argument:
      return "POLYADIC_ARGUMENT";
    case ErrorCode::shape:
      return "POLYADIC_SHAPE";
    case ErrorCode::numeric:
      return "POLYADIC_NUMERIC";
    case ErrorCode::aborted:
      return "POLYADIC_ABORTED";
    case ErrorCode::memory:
      return "POLYADIC_MEMORY";
    case ErrorCode::unsupported:
      return "POLYADIC_UNSUPPORTED";
    case ErrorCode::native:
      break;
  }
  return "POLYADIC_NATIVE";
}

}  // namespace

Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure) {
  const char* code = code_name(ErrorCode::native);
  std::string message = "unknown native error";
  try {
    std::rethrow_exception(std::move(failure));
  } catch (const Error& error) {
    code = code_name(error.code());
    message = error.what();
  } catch (const std::bad_alloc&) {
    code = code_name(ErrorCode::memory);
    message = "not enough memory";
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
  }
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

void Job::report(std::int64_t step, double value) {
  if (!progress_.IsEmpty()) environment_->progressed(this, step, value);
}

Environment::Environment(Napi::Env env) : channel_(Channel::New(env, "polyadic", 0, 1, this)) { channel_.Unref(env); }

double Environment::submit(Napi::Env env, std::unique_ptr<Job> job) {
  if (closing_) throw Error(ErrorCode::aborted, "this thread is shutting down");
  // First: where no thread can be had, nothing has happened yet.
  executor_ = &Executor::instance();
  Job* const borrowed = job.get();
  borrowed->environment_ = this;
  borrowed->id_ = ++last_id_;
  borrowed->failure_ = nullptr;
  borrowed->control_.rearm();
  borrowed->place_ = jobs_.size();
  jobs_.push_back(std::move(job));
  if (jobs_.size() == 1) channel_.Ref(env);
  executor_->push(borrowed);
  return borrowed->id_;
}

void Environment::cancel(double id) {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (job->id_ != id) continue;
    job->control_.cancel();
    // What others have in front of it may last: it does not have to be waited for.
    if (executor_->withdraw(job.get())) {
      job->failure_ = std::make_exception_ptr(Error(ErrorCode::aborted, "the operation was aborted"));
      finished(job.get());
    }
    return;
  }
}

void Environment::finished(Job* job) {
  bool call;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job->next_done_ = nullptr;
    (last_done_ ? last_done_->next_done_ : done_) = job;
    last_done_ = job;
    call = needs_call();
  }
  if (call) channel_.NonBlockingCall(static_cast<void*>(nullptr));
}

void Environment::progressed(Job* job, std::int64_t step, double value) {
  bool call;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job->step_ = step;
    job->value_ = value;
    const auto now = std::chrono::steady_clock::now();
    if (job->reported_ || now - job->last_report_ < kReportInterval) return;
    job->reported_ = true;
    job->last_report_ = now;
    job->next_reported_ = reported_;
    reported_ = job;
    call = needs_call();
  }
  if (call) channel_.NonBlockingCall(static_cast<void*>(nullptr));
}

// Under the mutex.
bool Environment::needs_call() { return !std::exchange(called_, true); }

void Environment::close() {
  closing_ = true;
  if (executor_) executor_->drain(this);
  jobs_.clear();
  settled_.Reset();
}

void Environment::deliver(Napi::Env env, Napi::Function, Environment* self, void*) {
  // Without an environment the channel is only being emptied, and self may be gone.
  if (static_cast<napi_env>(env) != nullptr) self->deliver_all(env);
}

void Environment::deliver_all(Napi::Env env) {
  std::exception_ptr failure;
  // A job is alive while it is in jobs_, and leaves by settle() alone: not while a report of it is outstanding.
  while (!closing_) {
    Job* done = nullptr;
    Job* report = nullptr;
    std::int64_t step = 0;
    double value = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (reported_) {
        report = std::exchange(reported_, reported_->next_reported_);
        report->reported_ = false;
        step = report->step_;
        value = report->value_;
      } else if (done_) {
        done = std::exchange(done_, done_->next_done_);
        if (!done_) last_done_ = nullptr;
      } else {
        called_ = false;
        break;
      }
    }
    const Napi::HandleScope scope(env);
    try {
      if (done) {
        settle(env, done);
      } else {
        report->progress_.Call({Napi::Number::New(env, static_cast<double>(step)), Napi::Number::New(env, value)});
      }
    } catch (...) {
      // A listener has thrown. The others are told first.
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(std::move(failure));
}

void Environment::settle(Napi::Env env, Job* job) {
  std::unique_ptr<Job> owned = take(job);
  if (jobs_.empty()) channel_.Unref(env);
  Napi::Value failure = env.Undefined(), result = env.Undefined();
  try {
    if (owned->failure_) std::rethrow_exception(owned->failure_);
    result = owned->result(env);
  } catch (const Napi::Error& error) {
    failure = error.Value();
  } catch (...) {
    failure = to_javascript(env, std::current_exception()).Value();
  }
  const Napi::Number id = Napi::Number::New(env, owned->id_);
  job->retire(env, std::move(owned));
  if (!settled_.IsEmpty()) settled_.Call({id, failure, result});
}

std::unique_ptr<Job> Environment::take(Job* job) {
  const std::size_t place = job->place_;
  std::unique_ptr<Job> owned = std::move(jobs_[place]);
  if (place + 1 < jobs_.size()) {
    jobs_[place] = std::move(jobs_.back());
    jobs_[place]->place_ = place;
  }
  jobs_.pop_back();
  return owned;
}

std::shared_ptr<Environment> make_environment(Napi::Env env) {
  auto environment = std::make_shared<Environment>(env);
  // Registered after the channel was made, so it runs before the channel is torn down (hooks run last in, first out).
  env.AddCleanupHook(
      [](std::shared_ptr<Environment>* held) {
        (*held)->close();
        delete held;
      },
      new std::shared_ptr<Environment>(environment));
  return environment;
}

Napi::Value submit(Napi::Env env, std::unique_ptr<Job> job) {
  return Napi::Number::New(env, env.GetInstanceData<Addon>()->environment().submit(env, std::move(job)));
}

}  // namespace polyadic::binding

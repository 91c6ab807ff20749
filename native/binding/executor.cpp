#include "executor.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <thread>

#include "addon.h"

namespace polyadic::binding {

using Clock = std::chrono::steady_clock;

// A job on its way: shared by the queue, the JavaScript handle and the messages about it.
struct Ticket {
  Ticket(std::unique_ptr<Job> work, Environment* owner) : job(std::move(work)), environment(owner) {}
  std::unique_ptr<Job> job;  // destroyed on the JavaScript thread
  Environment* environment;
  JobControl* control = nullptr;  // set while running
  bool cancelled = false;         // asked for before it ran
  std::exception_ptr failure;

  std::mutex mutex;  // guards control, cancelled and the progress snapshot
  std::int64_t step = 0;
  double value = 0;
  bool progress_pending = false;
  Clock::time_point last_progress{};

  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex);
    cancelled = true;
    if (control) control->cancel();
  }
};

struct Environment::Message {
  std::shared_ptr<Ticket> ticket;
  bool done;
};

namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(50);

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

// Owns the OpenMP team. A leaked singleton with a detached thread: it outlives every environment.
class Executor {
 public:
  static Executor& instance() {
    static Executor* executor = new Executor();
    return *executor;
  }

  void push(std::shared_ptr<Ticket> ticket) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(std::move(ticket));
    }
    wake_.notify_one();
  }

  // Drops what the environment has queued, stops what it has running, and waits for that to end.
  void drain(Environment* environment) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (auto it = queue_.begin(); it != queue_.end();) {
      it = (*it)->environment == environment ? queue_.erase(it) : it + 1;
    }
    if (running_ && running_->environment == environment) running_->cancel();
    idle_.wait(lock, [&] { return !running_ || running_->environment != environment; });
  }

 private:
  Executor() {
    std::thread([this] { loop(); }).detach();
  }

  [[noreturn]] void loop() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return !queue_.empty(); });
      running_ = std::move(queue_.front());
      queue_.pop_front();
      const std::shared_ptr<Ticket> ticket = running_;
      lock.unlock();

      run(ticket);
      // The message goes out before the thread counts as idle: drain() must not return while it may still be sent.
      ticket->environment->finished(ticket);

      lock.lock();
      running_.reset();
      lock.unlock();
      idle_.notify_all();
    }
  }

  static void run(const std::shared_ptr<Ticket>& ticket) {
    JobControl control([&ticket](std::int64_t step, double value) { report(ticket, step, value); });
    {
      const std::lock_guard<std::mutex> lock(ticket->mutex);
      ticket->control = &control;
      if (ticket->cancelled) control.cancel();
    }
    try {
      control.check();
      ticket->job->execute(control);
    } catch (...) {
      ticket->failure = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(ticket->mutex);
    ticket->control = nullptr;
  }

  static void report(const std::shared_ptr<Ticket>& ticket, std::int64_t step, double value) {
    {
      const std::lock_guard<std::mutex> lock(ticket->mutex);
      ticket->step = step;
      ticket->value = value;
      const Clock::time_point now = Clock::now();
      if (ticket->progress_pending || now - ticket->last_progress < kProgressInterval) return;
      ticket->progress_pending = true;
      ticket->last_progress = now;
    }
    ticket->environment->progressed(ticket);
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::shared_ptr<Ticket>> queue_;
  std::shared_ptr<Ticket> running_;
};

}  // namespace

Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure) {
  const char* code = code_name(ErrorCode::native);
  std::string message = "unknown native error";
  try {
    std::rethrow_exception(failure);
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

Environment::Environment(Napi::Env env) : channel_(Channel::New(env, "polyadic", 0, 1, this)) { channel_.Unref(env); }

Environment::~Environment() = default;

Napi::Object Environment::submit(Napi::Env env, std::unique_ptr<Job> job) {
  if (closing_) throw Error(ErrorCode::aborted, "this thread is shutting down");
  const auto ticket = std::make_shared<Ticket>(std::move(job), this);
  const Napi::Object handle = Napi::Object::New(env);
  handle.Set("promise", ticket->job->deferred_.Promise());
  handle.Set("cancel", Napi::Function::New(
                           env, [ticket](const Napi::CallbackInfo&) { ticket->cancel(); }, "cancel"));
  if (pending_++ == 0) channel_.Ref(env);
  Executor::instance().push(ticket);
  return handle;
}

void Environment::finished(std::shared_ptr<Ticket> ticket) {
  auto* message = new Message{std::move(ticket), true};
  if (channel_.BlockingCall(message) != napi_ok) delete message;
}

void Environment::progressed(std::shared_ptr<Ticket> ticket) {
  auto* message = new Message{std::move(ticket), false};
  if (channel_.NonBlockingCall(message) != napi_ok) delete message;
}

void Environment::close() {
  closing_ = true;
  Executor::instance().drain(this);
}

void Environment::call_js(Napi::Env env, Napi::Function, Environment* self, Message* message) {
  const std::unique_ptr<Message> owned(message);
  Ticket& ticket = *message->ticket;
  if (static_cast<napi_env>(env) == nullptr || self->closing_) return;
  if (message->done) {
    self->settle(env, ticket);
    return;
  }
  std::int64_t step;
  double value;
  {
    const std::lock_guard<std::mutex> lock(ticket.mutex);
    step = ticket.step;
    value = ticket.value;
    ticket.progress_pending = false;
  }
  if (ticket.job && !ticket.job->progress_.IsEmpty()) {
    ticket.job->progress_.Call({Napi::Number::New(env, static_cast<double>(step)), Napi::Number::New(env, value)});
  }
}

void Environment::settle(Napi::Env env, Ticket& ticket) {
  const Napi::HandleScope scope(env);
  const std::unique_ptr<Job> job = std::move(ticket.job);
  if (--pending_ == 0) channel_.Unref(env);
  try {
    if (ticket.failure) std::rethrow_exception(ticket.failure);
    job->deferred_.Resolve(job->result(env));
  } catch (const Napi::Error& error) {
    job->deferred_.Reject(error.Value());
  } catch (...) {
    job->deferred_.Reject(to_javascript(env, std::current_exception()).Value());
  }
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

Napi::Object submit(Napi::Env env, std::unique_ptr<Job> job) {
  return env.GetInstanceData<Addon>()->environment().submit(env, std::move(job));
}

}  // namespace polyadic::binding

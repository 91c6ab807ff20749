// The one compute thread of the process, and what each JavaScript environment keeps of it.
#pragma once

#include <napi.h>

#include <memory>

#include "job.h"

namespace polyadic::binding {

struct Ticket;

// Per environment (main thread or worker): the way back to its JavaScript thread.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();

  Napi::Object submit(Napi::Env env, std::unique_ptr<Job> job);

  // From the compute thread.
  void finished(std::shared_ptr<Ticket> ticket);
  void progressed(std::shared_ptr<Ticket> ticket);

  // The environment is going away: drops its queued jobs, stops the running one and waits until that has let go.
  void close();

  struct Message;
  static void call_js(Napi::Env env, Napi::Function callback, Environment* self, Message* message);

 private:
  void settle(Napi::Env env, Ticket& ticket);

  using Channel = Napi::TypedThreadSafeFunction<Environment, Message, Environment::call_js>;
  Channel channel_;
  int pending_ = 0;  // jobs not settled yet: the channel keeps the process alive while there are any
  bool closing_ = false;
};

// Creates the environment's state; called once by the addon's constructor.
std::shared_ptr<Environment> make_environment(Napi::Env env);

}  // namespace polyadic::binding

// What each JavaScript environment (main thread or worker) keeps of its jobs, and the way back to its thread.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "job.h"

namespace polyadic::binding {

class Executor;

class Environment {
 public:
  explicit Environment(Napi::Env env);

  // settled(number, error or undefined, result) is called once for each job that submit() has taken.
  void on_settled(const Napi::Function& settled) { settled_ = Napi::Persistent(settled); }

  // The job's number.
  double submit(Napi::Env env, std::unique_ptr<Job> job);
  // Asks a job to stop; nothing happens when it has settled.
  void cancel(double id);

  // From the compute thread. After finished(job) the job is no longer its own.
  void finished(Job* job);
  void progressed(Job* job, std::int64_t step, double value);

  // The environment is going away: drops its queued jobs, stops the running one and waits until that has let go.
  void close();

 private:
  static void deliver(Napi::Env env, Napi::Function callback, Environment* self, void* data);
  void deliver_all(Napi::Env env);
  void settle(Napi::Env env, Job* job);
  std::unique_ptr<Job> take(Job* job);
  bool needs_call();

  using Channel = Napi::TypedThreadSafeFunction<Environment, void, Environment::deliver>;
  Channel channel_;  // keeps the process alive while there are jobs
  Napi::FunctionReference settled_;
  std::vector<std::unique_ptr<Job>> jobs_;  // not settled yet
  Executor* executor_ = nullptr;            // once there has been a job
  double last_id_ = 0;
  bool closing_ = false;

  std::mutex mutex_;  // guards what follows
  Job* done_ = nullptr;
  Job* last_done_ = nullptr;
  Job* reported_ = nullptr;
  bool called_ = false;  // deliver() is on its way, and takes all that is there when it comes
};

// Creates the environment's state; called once by the addon's constructor.
std::shared_ptr<Environment> make_environment(Napi::Env env);

}  // namespace polyadic::binding

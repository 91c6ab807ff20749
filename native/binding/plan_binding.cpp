#include "plan_binding.h"

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "../core/dispatch.h"
#include "../plan/plan.h"
#include "handle.h"
#include "spec_reader.h"

namespace polyadic::binding {
namespace {

class RunJob;

// The jobs of a plan that wait for its next run: with them a run allocates nothing.
class IdleJobs {
 public:
  std::unique_ptr<RunJob> take();
  void keep(std::unique_ptr<RunJob> job);
  void close();

 private:
  static constexpr std::size_t kMost = 64;
  std::vector<std::unique_ptr<RunJob>> jobs_;
  bool closed_ = false;
};

void read_outputs(const Napi::Value& value, const Plan& plan, std::vector<float*>& pointers, Pins* pins) {
  read_buffers(
      value, "output", plan.spec().outputs.size(), [&](std::size_t i) { return plan.output_size(i); }, pointers, pins);
}

class RunJob : public Job {
 public:
  void prepare(const Napi::CallbackInfo& info, std::shared_ptr<Plan> plan, std::shared_ptr<IdleJobs> home) {
    plan_ = std::move(plan);
    home_ = std::move(home);
    read_inputs(info[0], *plan_, inputs_, &pins_);
    read_outputs(info[1], *plan_, outputs_, &pins_);
  }
  void execute(JobControl& control) override { plan_->run(inputs_, outputs_, &control); }
  void retire(Napi::Env env, std::unique_ptr<Job> self) override {
    pins_.clear(env);
    plan_.reset();
    const std::shared_ptr<IdleJobs> home = std::move(home_);
    home->keep(std::unique_ptr<RunJob>(static_cast<RunJob*>(self.release())));
  }

 private:
  Pins pins_;
  std::shared_ptr<Plan> plan_;
  std::shared_ptr<IdleJobs> home_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
};

int run_count(const Napi::Value& runs) {
  const double count = runs.IsNumber() ? runs.As<Napi::Number>().DoubleValue() : 0;
  if (!(count >= 1 && count <= 1e6)) argument_error("runs", "a number from 1 to 1000000");
  return static_cast<int>(count);
}

class TimeStepsJob : public Job {
 public:
  TimeStepsJob(std::shared_ptr<Plan> plan, const Napi::Value& runs) : plan_(std::move(plan)), runs_(run_count(runs)) {}
  void execute(JobControl& control) override { seconds_ = plan_->time_steps(runs_, &control); }
  Napi::Value result(Napi::Env env) override { return to_float64_array(env, seconds_.data(), seconds_.size()); }

 private:
  std::shared_ptr<Plan> plan_;
  int runs_;
  std::vector<double> seconds_;
};

std::unique_ptr<RunJob> IdleJobs::take() {
  if (jobs_.empty()) return std::make_unique<RunJob>();
  std::unique_ptr<RunJob> job = std::move(jobs_.back());
  jobs_.pop_back();
  return job;
}

void IdleJobs::keep(std::unique_ptr<RunJob> job) {
  if (!closed_ && jobs_.size() < kMost) jobs_.push_back(std::move(job));
}

void IdleJobs::close() {
  closed_ = true;
  jobs_.clear();
}

// A plan, and what its calls reuse.
struct PlanHandle {
  PlanHandle(Napi::Env env, const std::shared_ptr<Plan>& object)
      // What is shared has been counted by the plan that was there before. When that one is closed first it is missing
      // from the count, which only tells the garbage collector how urgent it is.
      : plan(env, object, object->arena_bytes() + object->weight_bytes() - object->shared_weight_bytes()) {}

  Napi::Value run(const Napi::CallbackInfo& info) {
    std::unique_ptr<RunJob> job = idle->take();
    job->prepare(info, plan.get(), idle);
    return submit(info.Env(), std::move(job));
  }
  void run_sync(const Napi::CallbackInfo& info) {
    Plan& target = *plan.get();
    read_inputs(info[0], target, inputs, nullptr);
    read_outputs(info[1], target, outputs, nullptr);
    target.run(inputs, outputs, nullptr);
  }
  // What the plan itself takes, without the way to it and back: seconds of all runs.
  double time_runs(const Napi::CallbackInfo& info) {
    Plan& target = *plan.get();
    read_inputs(info[0], target, inputs, nullptr);
    read_outputs(info[1], target, outputs, nullptr);
    const int runs = run_count(info[2]);
    const auto begin = std::chrono::steady_clock::now();
    for (int run = 0; run < runs; ++run) target.run(inputs, outputs, nullptr);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  void close() {
    plan.close();
    idle->close();
  }

  Handle<Plan> plan;
  std::shared_ptr<IdleJobs> idle = std::make_shared<IdleJobs>();
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
};

}  // namespace

Napi::Object describe(Napi::Env env, const Plan& plan) {
  const Napi::Object result = Napi::Object::New(env);
  result.Set("isa", kernels().name);
  result.Set("imagesAtATime", Napi::Number::New(env, static_cast<double>(plan.slice())));
  result.Set("imagesReason", plan.slice_reason());
  result.Set("arenaBytes", Napi::Number::New(env, static_cast<double>(plan.arena_bytes())));
  result.Set("weightBytes", Napi::Number::New(env, static_cast<double>(plan.weight_bytes())));
  result.Set("sharedWeightBytes", Napi::Number::New(env, static_cast<double>(plan.shared_weight_bytes())));
  const auto lines = plan.describe();
  const Napi::Array steps = Napi::Array::New(env, lines.size());
  for (std::uint32_t i = 0; i < lines.size(); ++i) {
    const Napi::Object step = Napi::Object::New(env);
    step.Set("op", lines[i].op);
    step.Set("kernel", lines[i].kernel);
    step.Set("why", lines[i].why);
    steps.Set(i, step);
  }
  result.Set("steps", steps);
  return result;
}

namespace {

Napi::Object plan_object(Napi::Env env, const std::shared_ptr<Plan>& plan) {
  const auto handle = std::make_shared<PlanHandle>(env, plan);
  const Napi::Object object = Napi::Object::New(env);
  method(object, "run", [handle](const Napi::CallbackInfo& call) { return handle->run(call); });
  method(object, "runSync", [handle](const Napi::CallbackInfo& call) {
    handle->run_sync(call);
    return call.Env().Undefined();
  });
  method(object, "describe",
         [handle](const Napi::CallbackInfo& call) -> Napi::Value { return describe(call.Env(), *handle->plan.get()); });
  method(object, "timeSteps", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
    return submit(call.Env(), std::make_unique<TimeStepsJob>(handle->plan.get(), call[0]));
  });
  method(object, "timeRuns", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
    return Napi::Number::New(call.Env(), handle->time_runs(call));
  });
  method(object, "close", [handle](const Napi::CallbackInfo& call) {
    handle->close();
    return call.Env().Undefined();
  });
  return object;
}

PlanSpec inference_spec(const Napi::Value& value) {
  PlanSpec spec = read_plan_spec(value);
  if (spec.training) argument_error("training", "false for a plan that only runs forward");
  return spec;
}

// Makes a plan on the compute thread: packing large weights takes as long as many runs.
class PlanJob : public Job {
 public:
  PlanJob(const Napi::Value& spec, std::shared_ptr<WeightStore> store)
      : spec_(inference_spec(spec)), store_(std::move(store)), parameters_(Napi::Persistent(spec.As<Napi::Object>())) {}
  void execute(JobControl& control) override {
    plan_ = std::make_shared<Plan>(std::move(spec_), store_.get(), &control);
  }
  Napi::Value result(Napi::Env env) override { return plan_object(env, plan_); }

 private:
  PlanSpec spec_;
  std::shared_ptr<WeightStore> store_;
  Napi::ObjectReference parameters_;  // whose memory spec_ refers to
  std::shared_ptr<Plan> plan_;
};

}  // namespace

Napi::Value create_plan(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return plan_object(info.Env(), std::make_shared<Plan>(inference_spec(info[0])));
  });
}

Napi::Value create_planner(const Napi::CallbackInfo& info) {
  const Napi::Object object = Napi::Object::New(info.Env());
  const auto store = std::make_shared<WeightStore>();
  method(object, "createPlan", [store](const Napi::CallbackInfo& call) -> Napi::Value {
    return plan_object(call.Env(), std::make_shared<Plan>(inference_spec(call[0]), store.get()));
  });
  method(object, "preparePlan", [store](const Napi::CallbackInfo& call) -> Napi::Value {
    return submit(call.Env(), std::make_unique<PlanJob>(call[0], store));
  });
  return object;
}

}  // namespace polyadic::binding

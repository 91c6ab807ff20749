#include "plan_binding.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/dispatch.h"
#include "../plan/plan.h"
#include "handle.h"
#include "spec_reader.h"

namespace polyadic::binding {
namespace {

std::vector<float*> read_outputs(const Napi::Value& value, const Plan& plan) {
  const std::vector<Span<float>> spans = float32_arrays(value, "outputs");
  check_length(spans.size(), plan.spec().outputs.size(), "outputs");
  std::vector<float*> pointers;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    check_length(spans[i].length, plan.output_size(i), "output " + std::to_string(i));
    pointers.push_back(spans[i].data);
  }
  return pointers;
}

class RunJob : public BufferJob {
 public:
  RunJob(const Napi::CallbackInfo& info, std::shared_ptr<Plan> plan)
      : BufferJob(info.Env()),
        plan_(std::move(plan)),
        inputs_(read_inputs(info[0], *plan_)),
        outputs_(read_outputs(info[1], *plan_)) {
    pin_all(info[0]);
    pin_all(info[1]);
  }
  void execute(JobControl& control) override { plan_->run(inputs_, outputs_, &control); }

 private:
  std::shared_ptr<Plan> plan_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
};

}  // namespace

Napi::Object describe(Napi::Env env, const Plan& plan) {
  const Napi::Object result = Napi::Object::New(env);
  result.Set("isa", kernels().name);
  result.Set("imagesAtATime", Napi::Number::New(env, static_cast<double>(plan.slice())));
  result.Set("arenaBytes", Napi::Number::New(env, static_cast<double>(plan.arena_bytes())));
  result.Set("weightBytes", Napi::Number::New(env, static_cast<double>(plan.weight_bytes())));
  const auto lines = plan.describe();
  const Napi::Array steps = Napi::Array::New(env, lines.size());
  for (std::uint32_t i = 0; i < lines.size(); ++i) {
    const Napi::Object step = Napi::Object::New(env);
    step.Set("op", lines[i].first);
    step.Set("kernel", lines[i].second);
    steps.Set(i, step);
  }
  result.Set("steps", steps);
  return result;
}


Napi::Value create_plan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    PlanSpec spec = read_plan_spec(info[0]);
    if (spec.training) argument_error("training", "false for a plan that only runs forward");
    auto plan = std::make_shared<Plan>(std::move(spec));
    const auto handle = std::make_shared<Handle<Plan>>(env, plan, plan->arena_bytes() + plan->weight_bytes());
    const Napi::Object object = Napi::Object::New(env);
    method(object, "run", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      return submit(call.Env(), std::make_unique<RunJob>(call, handle->get()));
    });
    method(object, "runSync", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      Plan& target = *handle->get();
      target.run(read_inputs(call[0], target), read_outputs(call[1], target), nullptr);
      return call.Env().Undefined();
    });
    method(object, "describe",
           [handle](const Napi::CallbackInfo& call) -> Napi::Value { return describe(call.Env(), *handle->get()); });
    method(object, "close", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      handle->close();
      return call.Env().Undefined();
    });
    return object;
  });
}

}  // namespace polyadic::binding

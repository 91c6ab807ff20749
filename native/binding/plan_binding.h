// createPlan, createPlanner and createTrainer: a PlanSpec in, an object of functions out.
#pragma once

#include <napi.h>

namespace polyadic {
class Plan;
}

namespace polyadic::binding {

// { isa, arenaBytes, weightBytes, steps }
Napi::Object describe(Napi::Env env, const Plan& plan);

Napi::Value create_plan(const Napi::CallbackInfo& info);
// Its plans share their packed weights.
Napi::Value create_planner(const Napi::CallbackInfo& info);
Napi::Value create_trainer(const Napi::CallbackInfo& info);

}  // namespace polyadic::binding

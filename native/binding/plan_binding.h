// createPlan and createTrainer: a PlanSpec in, an object of functions out.
#pragma once

#include <napi.h>

namespace polyadic::binding {

Napi::Value create_plan(const Napi::CallbackInfo& info);
Napi::Value create_trainer(const Napi::CallbackInfo& info);

}  // namespace polyadic::binding

// Reads lib/runtime/plan-spec.ts's PlanSpec into its native twin.
#pragma once

#include <napi.h>

#include "../plan/plan_spec.h"

namespace polyadic::binding {

PlanSpec read_plan_spec(const Napi::Value& value);

}  // namespace polyadic::binding

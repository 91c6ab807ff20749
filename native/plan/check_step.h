// What steps take for granted of the values that they read and write.
#pragma once

#include "plan_spec.h"

namespace polyadic {

// Throws Error(shape) where a step's values, window or parameters do not fit each other, so that none reads or writes
// beyond them. All indices of the step have been checked. Convolutions check their weights themselves, when they are
// made.
void check_step(const PlanSpec& plan, const StepSpec& step);

}  // namespace polyadic

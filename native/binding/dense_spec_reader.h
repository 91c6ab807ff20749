// Reads the steps over dense values: see lib/runtime/dense-spec.ts.
#pragma once

#include <napi.h>

#include "../plan/dense_spec.h"

namespace polyadic::binding {

DenseSpec read_dense_spec(const Napi::Object& object);

}  // namespace polyadic::binding

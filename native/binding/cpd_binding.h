// The CP solver in JavaScript: NativeAddon.cpd of lib/native/binding.ts, and hooks for tests.
#pragma once

#include <napi.h>

namespace polyadic::binding {

// cpd(spec, onProgress) → { promise, cancel() }
Napi::Value cpd(const Napi::CallbackInfo& info);

// patchMoments(spec) → { promise, cancel() }: adds to spec.moments in place
Napi::Value patch_moments(const Napi::CallbackInfo& info);

// stiffness(spec) → { promise, cancel() }: of a number
Napi::Value stiffness(const Napi::CallbackInfo& info);

// Pieces of the solver for tests, synchronous: { gemm, mttkrp, gradient, jacobianProduct, eigen }.
Napi::Object cpd_test(Napi::Env env);

}  // namespace polyadic::binding

// The addon: one instance an environment, no mutable statics.
#pragma once

#include <napi.h>

#include <memory>

#include "environment.h"

namespace polyadic::binding {

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports);
  Environment& environment() { return *environment_; }

 private:
  Napi::Value cpu(const Napi::CallbackInfo& info);
  Napi::Value peak_gflops(const Napi::CallbackInfo& info);
  void set_isa(const Napi::CallbackInfo& info);
  void on_settled(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);

  std::shared_ptr<Environment> environment_;
};

}  // namespace polyadic::binding

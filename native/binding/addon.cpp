#include "addon.h"

#include <thread>

#include "../core/cpu_features.h"
#include "../core/dispatch.h"
#include "../core/peak.h"
#include "arguments.h"
#include "cpd_binding.h"
#include "plan_binding.h"

namespace polyadic::binding {

Addon::Addon(Napi::Env env, Napi::Object exports) : environment_(make_environment(env)) {
  DefineAddon(exports, {InstanceMethod<&Addon::cpu>("cpu"), InstanceMethod<&Addon::set_isa>("setIsa"),
                        InstanceMethod<&Addon::peak_gflops>("peakGflops"),
                        InstanceMethod<&Addon::on_settled>("onSettled"), InstanceMethod<&Addon::cancel>("cancel")});
  exports.Set("cpd", Napi::Function::New<cpd>(env, "cpd"));
  exports.Set("patchMoments", Napi::Function::New<patch_moments>(env, "patchMoments"));
  exports.Set("stiffness", Napi::Function::New<stiffness>(env, "stiffness"));
  exports.Set("cpdTest", cpd_test(env));
  exports.Set("createPlan", Napi::Function::New<create_plan>(env, "createPlan"));
  exports.Set("createPlanner", Napi::Function::New<create_planner>(env, "createPlanner"));
  exports.Set("createTrainer", Napi::Function::New<create_trainer>(env, "createTrainer"));
}

Napi::Value Addon::cpu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::vector<std::string> isas = available_isas();
    const Napi::Array available = Napi::Array::New(env, isas.size());
    for (std::uint32_t i = 0; i < isas.size(); ++i) available.Set(i, Napi::String::New(env, isas[i]));
    const Napi::Object result = Napi::Object::New(env);
    result.Set("isa", kernels().name);
    result.Set("available", available);
    result.Set("threads", Napi::Number::New(env, std::thread::hardware_concurrency()));
    const Bf16Choice& bf16 = bf16_choice();
    result.Set("bf16", bf16.table ? Napi::Value(Napi::String::New(env, bf16.table->name)) : env.Null());
    result.Set("bf16Reason", bf16.reason);
    const Napi::Object features = Napi::Object::New(env);
    features.Set("avx512Bf16", Napi::Boolean::New(env, cpu_features().avx512_bf16));
    features.Set("amxBf16", Napi::Boolean::New(env, cpu_features().amx_bf16));
    result.Set("features", features);
    return result;
  });
}

void Addon::set_isa(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsString()) argument_error("isa", "a string");
    polyadic::set_isa(info[0].As<Napi::String>().Utf8Value());
  });
}

void Addon::on_settled(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsFunction()) argument_error("settled", "a function");
    environment_->on_settled(info[0].As<Napi::Function>());
  });
}

void Addon::cancel(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsNumber()) argument_error("job", "a number");
    environment_->cancel(info[0].As<Napi::Number>().DoubleValue());
  });
}

Napi::Value Addon::peak_gflops(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const bool wide = info[0].IsString() && info[0].As<Napi::String>().Utf8Value() == "float64";
    const bool half = info[0].IsString() && info[0].As<Napi::String>().Utf8Value() == "bf16";
    if (half) return Napi::Number::New(info.Env(), polyadic::peak_gflops_bf16());
    return Napi::Number::New(info.Env(), wide ? polyadic::peak_gflops_double() : polyadic::peak_gflops());
  });
}

}  // namespace polyadic::binding

using PolyadicAddon = polyadic::binding::Addon;
NODE_API_ADDON(PolyadicAddon)

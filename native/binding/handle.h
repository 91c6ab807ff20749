// What the bindings of plans and trainers share: objects that own native memory, and jobs over typed arrays.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/status.h"
#include "../plan/plan.h"
#include "arguments.h"
#include "job.h"

namespace polyadic::binding {

// Shares a native object between JavaScript functions and jobs, and tells the garbage collector how heavy it is.
template <class T>
class Handle {
 public:
  Handle(Napi::Env env, std::shared_ptr<T> object, std::size_t bytes)
      : env_(env), object_(std::move(object)), bytes_(static_cast<std::int64_t>(bytes)) {
    account(bytes_);
  }
  ~Handle() { close(); }

  const std::shared_ptr<T>& get() const {
    if (!object_) throw Error(ErrorCode::argument, "this session was closed");
    return object_;
  }
  void close() {
    if (!object_) return;
    object_.reset();
    account(-bytes_);
  }

 private:
  // In steps: one call takes no more than an int.
  void account(std::int64_t bytes) const {
    constexpr std::int64_t kStep = 512 << 20;
    for (std::int64_t rest = bytes; rest != 0;) {
      const std::int64_t step = std::clamp(rest, -kStep, kStep);
      Napi::MemoryManagement::AdjustExternalMemory(env_, step);
      rest -= step;
    }
  }

  Napi::Env env_;
  std::shared_ptr<T> object_;
  std::int64_t bytes_;
};

template <class F>
void method(const Napi::Object& object, const char* name, F f) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(
      name,
      Napi::Function::New(
          object.Env(), [f](const Napi::CallbackInfo& info) { return guarded(info.Env(), [&] { return f(info); }); },
          name),
      napi_enumerable));
}

inline void check_length(std::size_t actual, std::size_t expected, const std::string& name) {
  if (actual != expected) {
    throw Error(ErrorCode::shape,
                name + ": expected " + std::to_string(expected) + " elements, got " + std::to_string(actual));
  }
}

inline std::vector<const float*> read_inputs(const Napi::Value& value, const Plan& plan) {
  const std::vector<Span<float>> spans = float32_arrays(value, "inputs");
  check_length(spans.size(), plan.spec().inputs.size(), "inputs");
  std::vector<const float*> pointers;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    check_length(spans[i].length, plan.input_size(i), "input " + std::to_string(i));
    pointers.push_back(spans[i].data);
  }
  return pointers;
}

// Pins the typed arrays themselves: the caller may change the array that holds them.
class BufferJob : public Job {
 protected:
  using Job::Job;
  void pin_all(const Napi::Value& arrays) {
    const Napi::Array list = arrays.As<Napi::Array>();
    for (std::uint32_t i = 0; i < list.Length(); ++i) pin(list.Get(i));
  }
};

}  // namespace polyadic::binding

// What JavaScript holds of a native object: closures over a shared Handle, as methods of a plain object.
#pragma once

#include <napi.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

inline void check_length(std::size_t actual, std::size_t expected, const char* name, std::size_t index) {
  if (actual != expected) {
    throw Error(ErrorCode::shape, std::string(name) + " " + std::to_string(index) + ": expected " +
                                      std::to_string(expected) + " elements, got " + std::to_string(actual));
  }
}

// Where the elements of a plan's inputs lie, and what has to live as long as they are read.
template <class Size, class Pointer>
void read_buffers(const Napi::Value& value, const char* name, std::size_t count, Size&& size,
                  std::vector<Pointer>& pointers, Pins* pins) {
  pointers.clear();
  each_float32_array(value, name, count, [&](std::uint32_t i, const Napi::Value& item, const Span<float>& span) {
    check_length(span.length, size(i), name, i);
    pointers.push_back(span.data);
    if (pins) pins->add(value.Env(), item);
  });
}

inline void read_inputs(const Napi::Value& value, const Plan& plan, std::vector<const float*>& pointers, Pins* pins) {
  read_buffers(
      value, "input", plan.spec().inputs.size(), [&](std::size_t i) { return plan.input_size(i); }, pointers, pins);
}

}  // namespace polyadic::binding

// Reads JavaScript arguments defensively: TypeScript has validated them fully, this keeps memory safe.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace polyadic::binding {

// A float or integer array that lives in JavaScript: valid while the value is referenced.
template <class T>
struct Span {
  T* data;
  std::size_t length;
};

[[noreturn]] void argument_error(const std::string& name, const std::string& expected);

Napi::Value property(const Napi::Object& object, const char* name);
std::int64_t integer_property(const Napi::Object& object, const char* name);
double number_property(const Napi::Object& object, const char* name);
double number_property(const Napi::Object& object, const char* name, double otherwise);
bool bool_property(const Napi::Object& object, const char* name);
std::string string_property(const Napi::Object& object, const char* name);
Napi::Object object_property(const Napi::Object& object, const char* name);
Napi::Array array_property(const Napi::Object& object, const char* name);
bool has_property(const Napi::Object& object, const char* name);
std::vector<std::int64_t> integers_property(const Napi::Object& object, const char* name);

// Typed arrays honour their byteOffset. Throw when the type differs or the buffer is detached.
Span<float> float32_array(const Napi::Value& value, const char* name);
Span<double> float64_array(const Napi::Value& value, const char* name);
Span<std::int32_t> int32_array(const Napi::Value& value, const char* name);

// The arrays of an array, one after the other to take(index, value, span). Allocates nothing unless it throws.
template <class F>
void each_float32_array(const Napi::Value& value, const char* name, std::size_t count, F&& take) {
  if (!value.IsArray()) argument_error(name, "an array of Float32Array");
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() != count) argument_error(name, std::to_string(count) + " arrays");
  for (std::uint32_t i = 0; i < count; ++i) {
    const Napi::Value item = array.Get(i);
    take(i, item, float32_array(item, name));
  }
}

// Copies native data into a fresh typed array of this environment.
Napi::Float32Array to_float32_array(Napi::Env env, const float* data, std::size_t length);
Napi::Float64Array to_float64_array(Napi::Env env, const double* data, std::size_t length);

}  // namespace polyadic::binding

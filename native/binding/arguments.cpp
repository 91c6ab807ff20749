#include "arguments.h"

#include <cmath>
#include <cstring>

#include "../core/status.h"

namespace polyadic::binding {
namespace {

template <class T>
Span<T> typed_array(const Napi::Value& value, const char* name, napi_typedarray_type type, const char* type_name) {
  napi_typedarray_type actual = napi_int8_array;
  std::size_t length = 0;
  void* data = nullptr;
  // One call for all that is needed; the data pointer has the byteOffset in it.
  const bool is_typed_array =
      napi_get_typedarray_info(value.Env(), value, &actual, &length, &data, nullptr, nullptr) == napi_ok;
  if (!is_typed_array || actual != type) argument_error(name, type_name);
  if (length == 0 && value.As<Napi::TypedArray>().ArrayBuffer().IsDetached())
    argument_error(name, std::string(type_name) + " whose buffer is not detached");
  return {static_cast<T*>(data), length};
}

}  // namespace

void argument_error(const std::string& name, const std::string& expected) {
  throw Error(ErrorCode::argument, name + ": expected " + expected);
}

bool has_property(const Napi::Object& object, const char* name) { return !object.Get(name).IsUndefined(); }

Napi::Value property(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) argument_error(name, "a value");
  return value;
}

double number_property(const Napi::Object& object, const char* name) {
  const Napi::Value value = property(object, name);
  if (!value.IsNumber()) argument_error(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

double number_property(const Napi::Object& object, const char* name, double otherwise) {
  return has_property(object, name) ? number_property(object, name) : otherwise;
}

std::int64_t integer_property(const Napi::Object& object, const char* name) {
  const double number = number_property(object, name);
  if (number != std::floor(number) || std::abs(number) > 9007199254740991.0) argument_error(name, "an integer");
  return static_cast<std::int64_t>(number);
}

bool bool_property(const Napi::Object& object, const char* name) {
  const Napi::Value value = property(object, name);
  if (!value.IsBoolean()) argument_error(name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string string_property(const Napi::Object& object, const char* name) {
  const Napi::Value value = property(object, name);
  if (!value.IsString()) argument_error(name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object object_property(const Napi::Object& object, const char* name) {
  const Napi::Value value = property(object, name);
  if (!value.IsObject()) argument_error(name, "an object");
  return value.As<Napi::Object>();
}

Napi::Array array_property(const Napi::Object& object, const char* name) {
  const Napi::Value value = property(object, name);
  if (!value.IsArray()) argument_error(name, "an array");
  return value.As<Napi::Array>();
}

std::vector<std::int64_t> integers_property(const Napi::Object& object, const char* name) {
  const Napi::Array array = array_property(object, name);
  std::vector<std::int64_t> values(array.Length());
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    if (!item.IsNumber()) argument_error(name, "an array of integers");
    values[i] = item.As<Napi::Number>().Int64Value();
  }
  return values;
}

Span<float> float32_array(const Napi::Value& value, const char* name) {
  return typed_array<float>(value, name, napi_float32_array, "a Float32Array");
}

Span<double> float64_array(const Napi::Value& value, const char* name) {
  return typed_array<double>(value, name, napi_float64_array, "a Float64Array");
}

Span<std::int32_t> int32_array(const Napi::Value& value, const char* name) {
  return typed_array<std::int32_t>(value, name, napi_int32_array, "an Int32Array");
}

Napi::Float32Array to_float32_array(Napi::Env env, const float* data, std::size_t length) {
  Napi::Float32Array array = Napi::Float32Array::New(env, length);
  if (length > 0) std::memcpy(array.Data(), data, length * sizeof(float));
  return array;
}

Napi::Float64Array to_float64_array(Napi::Env env, const double* data, std::size_t length) {
  Napi::Float64Array array = Napi::Float64Array::New(env, length);
  if (length > 0) std::memcpy(array.Data(), data, length * sizeof(double));
  return array;
}

}  // namespace polyadic::binding

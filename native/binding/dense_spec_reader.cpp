#include "dense_spec_reader.h"

#include <string>

#include "../core/limits.h"
#include "../core/status.h"
#include "arguments.h"

namespace polyadic::binding {
namespace {

Dims read_dims(const Napi::Object& object, const char* name) {
  Dims dims = integers_property(object, name);
  for (const std::int64_t dim : dims) {
    if (dim < 0 || dim > kMostElements) argument_error(name, "non-negative integers");
  }
  return dims;
}

DenseView read_view(const Napi::Object& object) {
  DenseView view{integer_property(object, "offset"), integers_property(object, "strides")};
  if (view.offset < -kMostElements || view.offset > kMostElements) argument_error("offset", "a number of elements");
  return view;
}

template <class F>
void each(const Napi::Object& object, const char* name, F&& f) {
  if (!has_property(object, name)) return;
  const Napi::Array array = array_property(object, name);
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(object.Env());
    f(array.Get(i));
  }
}

Napi::Object as_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) argument_error(name, "an array of objects");
  return value.As<Napi::Object>();
}

CopyPiece read_piece(const Napi::Object& object) {
  CopyPiece piece;
  const std::int64_t input = integer_property(object, "input");
  if (input < 0 || input > kMostElements) argument_error("pieces.input", "an index");
  piece.input = static_cast<std::size_t>(input);
  piece.dims = read_dims(object, "dims");
  piece.from = read_view(object_property(object, "from"));
  piece.to = read_view(object_property(object, "to"));
  return piece;
}

Dims read_table(const Napi::Value& value) {
  const Span<std::int32_t> table = int32_array(value, "tables");
  return {table.data, table.data + table.length};
}

}  // namespace

DenseSpec read_dense_spec(const Napi::Object& object) {
  DenseSpec spec;
  if (has_property(object, "function")) spec.function = string_property(object, "function");
  if (has_property(object, "dims")) spec.dims = read_dims(object, "dims");
  if (has_property(object, "reduced")) spec.reduced = read_dims(object, "reduced");
  if (has_property(object, "sizes")) spec.sizes = read_dims(object, "sizes");
  each(object, "views", [&](const Napi::Value& item) { spec.views.push_back(read_view(as_object(item, "views"))); });
  each(object, "pieces",
       [&](const Napi::Value& item) { spec.pieces.push_back(read_piece(as_object(item, "pieces"))); });
  each(object, "tables", [&](const Napi::Value& item) { spec.tables.push_back(read_table(item)); });
  each(object, "names", [&](const Napi::Value& item) {
    if (!item.IsString()) argument_error("names", "strings");
    spec.names.push_back(item.As<Napi::String>().Utf8Value());
  });
  std::size_t flag = 0;
  each(object, "flags", [&](const Napi::Value& item) {
    if (!item.IsBoolean() || flag >= 3) argument_error("flags", "at most three booleans");
    spec.flags[flag++] = item.As<Napi::Boolean>().Value();
  });
  if (has_property(object, "numbers")) {
    const Span<float> numbers = float32_array(property(object, "numbers"), "numbers");
    spec.numbers.assign(numbers.data, numbers.data + numbers.length);
  }
  spec.has_fill = has_property(object, "fill");
  if (spec.has_fill) spec.fill = static_cast<float>(number_property(object, "fill"));
  if (has_property(object, "integer")) {
    const Napi::Object integer = object_property(object, "integer");
    const std::int64_t bits = integer_property(integer, "bits");
    if (bits < 1 || bits > 64) argument_error("integer.bits", "1 to 64");
    spec.integer_bits = static_cast<int>(bits);
    spec.integer_signed = bool_property(integer, "signed");
  }
  return spec;
}

}  // namespace polyadic::binding

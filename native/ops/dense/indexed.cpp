#include "indexed.h"

#include <string>

#include "../../core/status.h"
#include "nest.h"

namespace polyadic {

std::int64_t resolve_index(float index, std::int64_t size) {
  // Compared before it is converted: NaN and what no integer holds compare false.
  const double at = static_cast<double>(index) + (index < 0 ? static_cast<double>(size) : 0.0);
  return at >= 0 && at < static_cast<double>(size) ? static_cast<std::int64_t>(at) : -1;
}

void IndexedStep::expect_rows(const Value& picked) {
  expect_inputs(2);
  if (spec_.function == "elements") {
    expect_sizes(2);  // axis, size of the data along it
    if (spec_.views.size() != 1 || spec_.sizes[0] >= static_cast<std::int64_t>(spec_.dims.size()))
      throw Error(ErrorCode::argument, std::string(name_) + ": one view and an axis are needed");
    expect_count(in(1), product(spec_.dims), name_);
    Dims reach = spec_.dims;
    reach[static_cast<std::size_t>(spec_.sizes[0])] = spec_.sizes[1];
    check_reach(in(), reach, spec_.views[0], name_);
    rows_ = count(in(1));
  } else if (spec_.function == "nd") {
    expect_sizes(3);
    const std::int64_t batch = spec_.sizes[0];
    by_tuples_ = true;
    rows_ = product({batch, spec_.sizes[1]});
    row_ = spec_.sizes[2];
    expect_count(in(1), product({rows_, static_cast<std::int64_t>(spec_.dims.size())}), name_);
    expect_count(in(), product({batch, product(spec_.dims), row_}), name_);
  } else {
    throw Error(ErrorCode::argument, std::string(name_) + ": unknown function \"" + spec_.function + "\"");
  }
  expect_count(picked, product({rows_, row_}), name_);
}

void IndexedStep::refuse_index() const {
  throw Error(ErrorCode::argument, std::string(name_) + ": an index does not exist in its axis");
}

}  // namespace polyadic

// The one way native code reports failure: an Error with a code that the binding maps to a PolyadicError.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace polyadic {

enum class ErrorCode { argument, shape, numeric, aborted, memory, unsupported, native };

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace polyadic

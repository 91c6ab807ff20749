// What long work sees of its caller: a flag to poll and a place to report progress to.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "status.h"

namespace polyadic {

class JobControl {
 public:
  using Progress = std::function<void(std::int64_t step, double value)>;

  JobControl() = default;
  explicit JobControl(Progress progress) : progress_(std::move(progress)) {}

  // Makes ready for another job.
  void rearm() noexcept { cancelled_.store(false, std::memory_order_relaxed); }
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

  // Not to be called inside a parallel region: nothing may be thrown there. Poll cancelled() instead.
  void check() const {
    if (cancelled()) throw Error(ErrorCode::aborted, "the operation was aborted");
  }

  // Cheap enough to call every iteration: the receiver thins the stream out.
  void progress(std::int64_t step, double value) const {
    if (progress_) progress_(step, value);
  }

 private:
  std::atomic<bool> cancelled_{false};
  Progress progress_;
};

}  // namespace polyadic

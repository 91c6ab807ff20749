// What a step needs while it runs: threads, scratch memory and the wish to stop.
#pragma once

#include <cstdint>
#include <vector>

#include "../core/buffer.h"
#include "../core/job_control.h"
#include "../core/parallel.h"

namespace polyadic {

class Context {
 public:
  Context(int threads, std::size_t scratch_floats) : threads_(threads) {
    for (int i = 0; i < threads; ++i) scratch_.emplace_back(scratch_floats);
  }

  int threads() const { return threads_; }
  float* scratch(int thread) const { return scratch_[static_cast<std::size_t>(thread)].data(); }
  std::size_t scratch_bytes() const {
    return scratch_.size() * (scratch_.empty() ? 0 : scratch_[0].size()) * sizeof(float);
  }

  // Whether forward passes are those of training (dropout, batch statistics), and the seed of their chance.
  void train(bool training, std::uint64_t seed) {
    training_ = training;
    seed_ = seed;
  }
  bool training() const { return training_; }
  std::uint64_t seed() const { return seed_; }

  // Which images of the batch steps go over: in training, sums over the batch go on from one slice to the next.
  void begin_slice(std::int64_t first_image, bool is_last) {
    first_image_ = first_image;
    is_last_ = is_last;
  }
  std::int64_t first_image() const { return first_image_; }
  bool first_slice() const { return first_image_ == 0; }
  bool last_slice() const { return is_last_; }

  void attach(const JobControl* control) { control_ = control; }
  bool stopping() const { return control_ && control_->cancelled(); }

  // f(index, thread) for each index; indices that have not begun are dropped when the job is cancelled.
  template <class F>
  void parallel(std::int64_t count, F&& f, ThreadScope scope = {}) const {
    parallel_for(
        threads_, count,
        [&](std::int64_t index, int thread) {
          if (!stopping()) f(index, thread);
        },
        scope);
  }

 private:
  int threads_;
  std::vector<Buffer> scratch_;
  const JobControl* control_ = nullptr;
  bool training_ = false;
  std::uint64_t seed_ = 0;
  std::int64_t first_image_ = 0;
  bool is_last_ = true;
};

}  // namespace polyadic

// Packed weights that several plans read: those of one network for other batch sizes or input shapes. What is the same
// is known by its contents, so that nobody has to say which packing of which weights it is.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "../core/buffer.h"

namespace polyadic {

class WeightStore {
 public:
  // Puts an equal one that somebody still holds in the place of the buffer, or takes this one in; returns how many
  // bytes that has saved. For any thread. Contents do not change from now on. Buffers live as long as those who hold
  // them: the store keeps none alive.
  std::size_t share(Buffer buffer, std::shared_ptr<const Buffer>& shared);

 private:
  std::mutex mutex_;
  std::unordered_multimap<std::uint64_t, std::weak_ptr<const Buffer>> known_;  // by a hash of the contents
};

}  // namespace polyadic

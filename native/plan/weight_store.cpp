#include "weight_store.h"

#include <cstring>
#include <iterator>
#include <utility>

namespace polyadic {
namespace {

// Of the bits. Equal hashes only mean that it is worth comparing.
std::uint64_t hash_of(const Buffer& buffer) {
  constexpr int kLanes = 8;  // sums that do not wait for each other
  std::uint64_t lanes[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto mix = [](std::uint64_t hash, std::uint32_t bits) { return (hash ^ bits) * 0x9E3779B97F4A7C15u; };
  for (std::size_t i = 0; i < buffer.size(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, buffer.data() + i, sizeof bits);
    lanes[i % kLanes] = mix(lanes[i % kLanes], bits);
  }
  std::uint64_t hash = buffer.size();
  for (const std::uint64_t lane : lanes) hash = (hash ^ (lane >> 32)) * 0x9E3779B97F4A7C15u + lane;
  return hash;
}

// Bit for bit: 0 and -0 are not the same weights.
bool equal(const Buffer& a, const Buffer& b) {
  return a.size() == b.size() && (a.size() == 0 || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace

std::size_t WeightStore::share(Buffer buffer, std::shared_ptr<const Buffer>& shared) {
  const std::uint64_t hash = hash_of(buffer);
  const std::lock_guard<std::mutex> guard(mutex_);
  for (auto it = known_.begin(); it != known_.end();) it = it->second.expired() ? known_.erase(it) : std::next(it);
  const auto [first, last] = known_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    std::shared_ptr<const Buffer> other = it->second.lock();
    if (!other || !equal(*other, buffer)) continue;
    shared = std::move(other);
    return shared->size() * sizeof(float);
  }
  shared = std::make_shared<const Buffer>(std::move(buffer));
  known_.emplace(hash, shared);
  return 0;
}

}  // namespace polyadic

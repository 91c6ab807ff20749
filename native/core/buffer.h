// Aligned float memory that frees itself.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace polyadic {

class Buffer {
 public:
  Buffer() = default;
  // `count` floats, 64-byte aligned, zeroed.
  explicit Buffer(std::size_t count) : count_(count) {
    if (count == 0) return;
    if (count > (std::size_t{1} << 40)) throw std::bad_alloc();
    const std::size_t bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    data_ = static_cast<float*>(::operator new (bytes, std::align_val_t{kAlignment}));
    std::memset(data_, 0, bytes);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_) ::operator delete (data_, std::align_val_t{kAlignment});
  }

  float* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return count_; }
  float& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  static constexpr std::size_t kAlignment = 64;
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  float* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace polyadic

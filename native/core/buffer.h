// Aligned float memory that frees itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "limits.h"
#include "pages.h"

namespace polyadic {

class Buffer {
 public:
  Buffer() = default;
  // `count` floats, 64-byte aligned, zeroed.
  explicit Buffer(std::size_t count) : count_(count) {
    if (count == 0) return;
    if (count > static_cast<std::size_t>(kMostElements)) throw std::bad_alloc();
    if (from_pages()) {
      data_ = static_cast<float*>(map_pages(bytes()));
      return;
    }
    data_ = static_cast<float*>(::operator new (bytes(), std::align_val_t{kAlignment}));
    std::memset(data_, 0, bytes());
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
    if (!data_) return;
    if (from_pages()) {
      unmap_pages(data_, bytes());
    } else {
      ::operator delete (data_, std::align_val_t{kAlignment});
    }
  }

  float* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return count_; }
  float& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  static constexpr std::size_t kAlignment = 64;
  // From this size on memory comes in pages of its own. Freed to malloc it would often not return to the system: glibc
  // takes blocks of up to 32 MiB from its heap once one has been freed, where the small ones of others (a JavaScript
  // engine's buffers, say) pin it. AddressSanitizer sees an overrun only beside what malloc has given, but ends the
  // process where that has not enough.
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t kFromPages = std::size_t{1} << 30;
#else
  static constexpr std::size_t kFromPages = std::size_t{256} << 10;
#endif

  std::size_t bytes() const noexcept { return (count_ * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment; }
  bool from_pages() const noexcept { return bytes() >= kFromPages; }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  float* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace polyadic

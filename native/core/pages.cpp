#include "pages.h"

#include <cstdint>
#include <new>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace polyadic {

#ifdef _WIN32

void* map_pages(std::size_t bytes) {
  void* pages = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!pages) throw std::bad_alloc();
  return pages;
}

void unmap_pages(void* pages, std::size_t) noexcept { VirtualFree(pages, 0, MEM_RELEASE); }

#else

namespace {

// What processors call a huge page on most systems; the largest small one that there is.
constexpr std::size_t kHugePage = std::size_t{2} << 20, kSmallPage = std::size_t{64} << 10;

std::size_t whole(std::size_t bytes) { return (bytes + kSmallPage - 1) / kSmallPage * kSmallPage; }

char* map(std::size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(pages);
}

}  // namespace

void* map_pages(std::size_t bytes) {
  const std::size_t length = whole(bytes);
#ifdef MADV_HUGEPAGE
  // Many systems leave huge pages to those who ask. They begin on a boundary of theirs: what lies around it is given
  // back.
  if (length >= kHugePage) {
    char* const first = map(length + kHugePage);
    const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(first) % kHugePage) % kHugePage;
    char* const pages = first + before;
    if (before > 0) munmap(first, before);
    if (before < kHugePage) munmap(pages + length, kHugePage - before);
    madvise(pages, length, MADV_HUGEPAGE);
    return pages;
  }
#endif
  return map(length);
}

void unmap_pages(void* pages, std::size_t bytes) noexcept { munmap(pages, whole(bytes)); }

#endif

}  // namespace polyadic

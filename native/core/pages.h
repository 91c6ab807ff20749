// Memory in whole pages, straight from the operating system and straight back to it.
#pragma once

#include <cstddef>

namespace polyadic {

// Zeroed. Throws std::bad_alloc.
void* map_pages(std::size_t bytes);
// `bytes` as they were asked for.
void unmap_pages(void* pages, std::size_t bytes) noexcept;

}  // namespace polyadic

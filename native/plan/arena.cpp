#include "arena.h"

#include <algorithm>
#include <numeric>

namespace polyadic {

std::int64_t assign_arena(std::vector<Lifetime>& values) {
  constexpr std::int64_t kAlign = 16;
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a].floats > values[b].floats; });
  std::vector<const Lifetime*> placed;
  std::int64_t total = 0;
  for (const std::size_t index : order) {
    Lifetime& value = values[index];
    value.offset = 0;
    // `placed` is sorted by offset: walk up over everything that lives at the same time.
    for (const Lifetime* other : placed) {
      const bool together = other->first <= value.last && value.first <= other->last;
      if (!together || other->offset + other->floats <= value.offset) continue;
      if (value.offset + value.floats <= other->offset) break;
      value.offset = (other->offset + other->floats + kAlign - 1) / kAlign * kAlign;
    }
    total = std::max(total, value.offset + value.floats);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &value,
                                   [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; }),
                  &value);
  }
  return total;
}

}  // namespace polyadic

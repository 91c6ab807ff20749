// The one body of the pooling kernels, over Vec. Included once by each ISA's file after its vec_*.h.
#include <math.h>

#include "pool_kernels.h"

namespace {

template <bool Maximum>
void pool_row(const polyadic::PoolArgs& given) {
  const polyadic::PoolArgs args = given;
  const Vec begin = Maximum ? Vec::broadcast(-INFINITY) : Vec::zero();
  const Vec scale = Vec::broadcast(args.scale);
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    const float* row = args.x + p * args.x_step;
    Vec all = begin;
    for (std::int64_t i = 0; i < args.rows; ++i, row += args.x_row) {
      const float* at = row;
      for (std::int64_t j = 0; j < args.columns; ++j, at += args.x_column) {
        // The new one comes first: where it is NaN, the vector maximum gives back the other.
        all = Maximum ? max(Vec::load(at), all) : all + Vec::load(at);
      }
    }
    if (!Maximum) all = all * scale;
    all.store(args.y + p * Vec::kLanes);
  }
}

constexpr polyadic::PoolKernels pool_kernels() { return {pool_row<true>, pool_row<false>}; }

}  // namespace

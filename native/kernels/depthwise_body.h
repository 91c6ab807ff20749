// Depthwise convolution of whole rows, over Vec. Two 512-bit loads a cycle are more than a core keeps up beside its
// stores, so a loaded value serves as many sums as possible: down a column those of several rows, along a row those of
// neighbouring pixels. Every sum takes its taps in their order, whichever way it is computed.
#include "float_kernels.h"

namespace {

using polyadic::kPairRows;
using polyadic::RowArgs;

constexpr int kRun = 8;       // sums that stand in registers together
constexpr int kMostTaps = 9;  // more of them, and other offsets than neighbours, take the general way

// Keeps a pointer in one register: compilers like to split off the part that all pixels share, which costs an addition
// a pixel and tap.
template <class T>
inline T* held(T* pointer) {
#ifdef __GNUC__
  __asm__("" : "+r"(pointer));
#endif
  return pointer;
}

inline Vec row_begin(const RowArgs& args) {
  return args.flags & polyadic::kFromBias ? Vec::load(args.bias) : Vec::zero();
}

inline void row_end(const RowArgs& args, float* dst, Vec sum) {
  (args.flags & polyadic::kRelu ? max(Vec::zero(), sum) : sum).store(dst);
}

// Pixels of a row, any taps.
template <int Pixels>
inline void any_run(const RowArgs& args, const Vec*, const float* src, float* dst) {
  Vec acc[Pixels];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) acc[p] = row_begin(args);
  for (std::int64_t i = 0; i < args.k; ++i) {
    const float* in = src + args.offsets[i];
    const Vec w = Vec::load(args.weights + i * Vec::kLanes);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[p] = fma(Vec::load(in + p * Vec::kLanes), w, acc[p]);
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) row_end(args, dst + p * Vec::kLanes, acc[p]);
}

// Pixels of a row whose taps are neighbouring pixels.
template <int Taps, int Pixels>
inline void along_run(const RowArgs& args, const Vec* w, const float* src, float* dst) {
  Vec acc[Pixels];
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) acc[p] = row_begin(args);
#pragma GCC unroll 16
  for (int j = 0; j < Pixels + Taps - 1; ++j) {
    const Vec x = Vec::load(src + j * Vec::kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Taps; ++i) {
      if (j - i >= 0 && j - i < Pixels) acc[j - i] = fma(x, w[i], acc[j - i]);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) row_end(args, dst + p * Vec::kLanes, acc[p]);
}

// Pixels of Rows rows whose taps are neighbouring rows.
template <int Taps, int Rows, int Pixels>
inline void down_run(const RowArgs& args, const Vec* w, const float* src, float* dst) {
  Vec acc[Rows][Pixels];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) acc[r][p] = row_begin(args);
  }
#pragma GCC unroll 16
  for (int j = 0; j < Rows + Taps - 1; ++j, src = held(src + args.src_row)) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
      const Vec x = Vec::load(src + p * Vec::kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < Taps; ++i) {
        if (j - i >= 0 && j - i < Rows) acc[j - i][p] = fma(x, w[i], acc[j - i][p]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r, dst = held(dst + args.dst_row)) {
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) row_end(args, dst + p * Vec::kLanes, acc[r][p]);
  }
}

using DepthwiseLines = void (*)(const RowArgs&, const float*, float*);

// A row, or Rows of them, as runs of Pixels; the last run ends with the row, over pixels of the one before it.
template <int Taps, int Pixels, void Run(const RowArgs&, const Vec*, const float*, float*)>
void depthwise_lines(const RowArgs& given, const float* src, float* dst) {
  const RowArgs args = given;
  Vec w[Taps > 0 ? Taps : 1];
#pragma GCC unroll 16
  for (int i = 0; i < Taps; ++i) w[i] = Vec::load(args.weights + i * Vec::kLanes);
  const std::int64_t last = args.pixels - Pixels;
  for (std::int64_t x = 0;; x = x + Pixels < last ? x + Pixels : last) {
    Run(args, w, src + x * Vec::kLanes, dst + x * Vec::kLanes);
    if (x == last) return;
  }
}

template <int Pixels>
constexpr DepthwiseLines any_lines() {
  return depthwise_lines<0, Pixels, any_run<Pixels>>;
}
// More taps than registers hold are never asked for.
template <int Taps, int Pixels>
constexpr DepthwiseLines along_lines() {
  return Taps <= Vec::kHeldTaps ? depthwise_lines<Taps, Pixels, along_run<Taps, Pixels>> : nullptr;
}
template <int Taps, int Rows>
constexpr DepthwiseLines down_lines() {
  return Taps <= Vec::kHeldTaps ? depthwise_lines<Taps, kRun / Rows, down_run<Taps, Rows, kRun / Rows>> : nullptr;
}

// How the rows of some arguments are computed: one at a time and, down columns, two and four.
struct RowPlan {
  DepthwiseLines one, two, four;
};

RowPlan row_plan(const RowArgs& args) {
  constexpr DepthwiseLines any[kRun] = {any_lines<1>(), any_lines<2>(), any_lines<3>(), any_lines<4>(),
                                        any_lines<5>(), any_lines<6>(), any_lines<7>(), any_lines<8>()};
#define POLYADIC_TAPS(row) \
  { row(2), row(3), row(4), row(5), row(6), row(7), row(8), row(9) }
#define POLYADIC_ALONG(taps) \
  { along_lines<taps, 5>(), along_lines<taps, 6>(), along_lines<taps, 7>(), along_lines<taps, 8>() }
#define POLYADIC_DOWN(taps) \
  { down_lines<taps, 2>(), down_lines<taps, 4>() }
  constexpr DepthwiseLines along[kMostTaps - 1][4] = POLYADIC_TAPS(POLYADIC_ALONG);
  constexpr DepthwiseLines down[kMostTaps - 1][2] = POLYADIC_TAPS(POLYADIC_DOWN);
#undef POLYADIC_TAPS
#undef POLYADIC_ALONG
#undef POLYADIC_DOWN
  bool rows = args.k >= 2 && args.k <= Vec::kHeldTaps, columns = rows;
  for (std::int64_t i = 0; i < args.k; ++i) {
    rows = rows && args.offsets[i] == i * Vec::kLanes;
    columns = columns && args.offsets[i] == i * args.src_row;
  }
  // Runs of nearly the same width.
  const std::int64_t runs = (args.pixels + kRun - 1) / kRun, width = (args.pixels + runs - 1) / runs;
  RowPlan plan{any[width - 1], nullptr, nullptr};
  if (rows && width >= 5) plan.one = along[args.k - 2][width - 5];
  if (columns && args.pixels >= kRun / 2) {
    plan.two = down[args.k - 2][0];
    plan.four = down[args.k - 2][1];
  }
  return plan;
}

// Rows of src to rows of dst, one after the other.
inline void run_row_plan(const RowPlan& plan, const RowArgs& args, const float* src, float* dst, std::int64_t rows) {
  std::int64_t y = 0;
  for (; plan.four && y + 4 <= rows; y += 4) plan.four(args, src + y * args.src_row, dst + y * args.dst_row);
  if (plan.two && y + 2 <= rows) {
    plan.two(args, src + y * args.src_row, dst + y * args.dst_row);
    y += 2;
  }
  for (; y < rows; ++y) plan.one(args, src + y * args.src_row, dst + y * args.dst_row);
}

void depthwise_rows(const RowArgs& given) {
  const RowArgs args = given;
  run_row_plan(row_plan(args), args, args.src, args.dst, args.rows);
}

void depthwise_pair(const RowArgs& given_first, const RowArgs& given_second) {
  const RowArgs first = given_first, second = given_second;
  const RowPlan plan = row_plan(first), next = row_plan(second);
  for (std::int64_t y = 0; y < second.rows; y += kPairRows) {
    const std::int64_t rows = second.rows - y < kPairRows ? second.rows - y : kPairRows;
    run_row_plan(plan, first, first.src + y * first.src_row, first.dst, rows);
    run_row_plan(next, second, second.src, second.dst + y * second.dst_row, rows);
  }
}

}  // namespace

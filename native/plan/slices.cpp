#include "slices.h"

#include <algorithm>
#include <cmath>

#include "../core/cpu_features.h"
#include "../core/dispatch.h"

namespace polyadic {
namespace {

// Every value has the batch as its first axis, and no step looks from one image at another.
bool images_are_independent(const PlanSpec& spec) {
  if (spec.training || spec.values.empty()) return false;
  const std::int64_t batch = spec.values[0].n;
  return std::all_of(spec.values.begin(), spec.values.end(),
                     [&](const ValueSpec& v) { return v.n == batch && !v.dense; });
}

// What a step moves, in bytes.
struct Traffic {
  double weights = 0;      // once a slice
  double activations = 0;  // once an image: inputs and output as they lie in memory
  double compute = 0;      // once an image: what could be moved while its multiply-adds are done
};

std::vector<Traffic> traffic_of(const PlanSpec& spec) {
  const std::int64_t block = kernels().f32.block;
  const auto bytes = [&](int index) {
    const ValueSpec& v = spec.values[static_cast<std::size_t>(index)];
    const std::int64_t channels = (v.c + block - 1) / block * block;
    return static_cast<double>(channels * v.h * v.w) * (v.bf16 ? sizeof(std::uint16_t) : sizeof(float));
  };
  std::vector<Traffic> list;
  for (const StepSpec& step : spec.steps) {
    Traffic traffic;
    for (const int parameter : step_parameters(step))
      traffic.weights +=
          static_cast<double>(spec.parameters[static_cast<std::size_t>(parameter)].size()) * sizeof(float);
    for (const int value : step_values(step)) traffic.activations += bytes(value);
    traffic.activations += bytes(step.output);
    // Two multiply-adds of a vector a cycle, in which the third-level cache gives some ten bytes.
    constexpr double kBytesACycle = 10;
    const ValueSpec& out = spec.values[static_cast<std::size_t>(step.output)];
    traffic.compute = traffic.weights / sizeof(float) * static_cast<double>(out.h * out.w) /
                      static_cast<double>(2 * block) * kBytesACycle;
    list.push_back(traffic);
  }
  return list;
}

}  // namespace

Slices images_at_a_time(const PlanSpec& spec) {
  const std::int64_t batch = spec.values.empty() ? 1 : spec.values[0].n;
  if (!images_are_independent(spec)) return {batch, batch > 1 ? "some step looks from one image at another" : ""};
  if (batch == 1) return {1, {}};
  const double cache = static_cast<double>(second_level_cache_bytes());
  // Beginning a step costs as much as reading this many bytes; several threads meet before and after it as well.
  const double begin = spec.threads == 1 ? 2e3 : 50e3;
  // Weights that fit the cache beside the values come from there, at about a third of the price.
  constexpr double kNear = 0.3;
  const std::vector<Traffic> steps = traffic_of(spec);
  std::int64_t best = batch;
  double least = 0, together = 0, fewest = 0;  // `fewest`: with as few as there may be
  for (std::int64_t passes = 1; passes <= batch; ++passes) {
    const std::int64_t slice = (batch + passes - 1) / passes;
    if (passes > 1 && (slice == best || slice < spec.threads)) continue;
    // The last slice computes images of the one before it again where the batch is no multiple.
    const double again = static_cast<double>(passes * slice) / static_cast<double>(batch) - 1;
    double cost = 0;
    for (const Traffic& step : steps) {
      cost += step.compute * again;
      cost += (step.weights * (step.weights > cache / 4 ? 1 : kNear) + begin) / static_cast<double>(slice);
      const double held = step.activations * static_cast<double>(slice) / spec.threads;
      if (held > cache * 3 / 4) cost += step.activations;
    }
    if (passes == 1) together = cost;
    fewest = cost;
    if (passes == 1 || cost < least) {
      least = cost;
      best = slice;
    }
  }
  const auto traffic = [](double bytes) { return std::to_string(std::llround(bytes / 1024)) + " KiB"; };
  return {best, "modelled traffic an image " + traffic(least) + ", with the whole batch at a time " +
                    traffic(together) + ", with the fewest images " + traffic(fewest)};
}

}  // namespace polyadic

#include "slices.h"

#include <algorithm>
#include <cmath>

#include "../core/bf16.h"
#include "../core/cpu_features.h"
#include "../core/dispatch.h"
#include "../core/status.h"

namespace polyadic {
namespace {

// Every value has the batch as its first axis, and no step looks from one image at another.
bool images_are_independent(const PlanSpec& spec) {
  if (spec.values.empty()) return false;
  const std::int64_t batch = spec.values[0].n;
  const bool by_batch =
      std::any_of(spec.steps.begin(), spec.steps.end(), [](const StepSpec& step) { return step.batch_statistics; });
  return !by_batch && std::all_of(spec.values.begin(), spec.values.end(),
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
    const std::int64_t channels = round_up(v.c, v.bf16 ? bf16_block() : block);
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

// In falling order: the whole batch first. Overlapping slices would count images twice in a gradient.
std::vector<std::int64_t> possible_slices(const PlanSpec& spec, std::int64_t batch) {
  std::vector<std::int64_t> list;
  for (std::int64_t passes = 1; passes <= batch; ++passes) {
    const std::int64_t slice = (batch + passes - 1) / passes;
    if (passes > 1 && (slice == list.back() || slice < spec.threads)) continue;
    if (spec.training && slice * passes != batch) continue;
    list.push_back(slice);
  }
  return list;
}

// Modelled traffic of inference, in bytes an image.
double inference_cost(const PlanSpec& spec, const std::vector<Traffic>& steps, std::int64_t batch, std::int64_t slice) {
  const double cache = static_cast<double>(second_level_cache_bytes()), images = static_cast<double>(slice);
  // Beginning a step costs as much as reading this many bytes; several threads meet before and after it as well.
  const double begin = spec.threads == 1 ? 2e3 : 50e3;
  // Weights that fit the cache beside the values come from there, at about a third of the price.
  constexpr double kNear = 0.3;
  // The last slice computes images of the one before it again where the batch is no multiple.
  const double again = static_cast<double>(round_up(batch, slice)) / static_cast<double>(batch) - 1;
  double cost = 0;
  for (const Traffic& step : steps) {
    cost += step.compute * again;
    cost += (step.weights * (step.weights > cache / 4 ? 1 : kNear) + begin) / images;
    if (step.activations * images / spec.threads > cache * 3 / 4) cost += step.activations;
  }
  return cost;
}

// The same of training, where all values and their gradients are kept until the slice has gone forward and back.
double training_cost(const PlanSpec& spec, const std::vector<Traffic>& steps, std::int64_t slice) {
  const double cache = static_cast<double>(second_level_cache_bytes()) * spec.threads;
  // A step goes forward, back to the data and back to the weights; weights are read twice, their gradients read and
  // written. Filling few images into tiles costs more than beginning does: both were measured on CharNet.
  constexpr double kPasses = 3, kWeightPasses = 4;
  const double begin = spec.threads == 1 ? 30e3 : 150e3;
  double compute = 0, weights = 0, kept = 0;
  for (const Traffic& step : steps) {
    compute += step.compute * kPasses;
    weights += step.weights;
    kept += step.activations;
  }
  // What is kept comes back from a core's share of the third-level cache, some eight times the second, or from memory.
  constexpr double kShare = 8, kNear = 0.3, kFar = 1.5;
  const double held = kept * static_cast<double>(slice);
  const double of_kept = held <= cache ? 0 : held <= cache * kShare ? kNear : kFar;
  const double of_weights = weights * 3 <= cache / 2 ? kNear : 1;
  const double once = weights * kWeightPasses * of_weights + begin * static_cast<double>(steps.size());
  return compute + kept * of_kept + once / static_cast<double>(slice);
}

}  // namespace

Slices images_at_a_time(const PlanSpec& spec) {
  const std::int64_t batch = spec.values.empty() ? 1 : spec.values[0].n;
  const bool independent = images_are_independent(spec);
  if (spec.slice > 0) {
    if (spec.slice > batch || (!independent && spec.slice != batch) || (spec.training && batch % spec.slice != 0))
      throw Error(ErrorCode::argument, "plan.slice: a batch of " + std::to_string(batch) + " cannot be taken " +
                                           std::to_string(spec.slice) + " at a time");
    return {spec.slice, "asked for"};
  }
  if (!independent)
    return {batch, batch > 1 ? "some step looks from one image at another, or takes values in dense form" : ""};
  if (batch == 1) return {1, {}};
  const std::vector<Traffic> steps = traffic_of(spec);
  const std::vector<std::int64_t> candidates = possible_slices(spec, batch);
  std::vector<double> costs;
  costs.reserve(candidates.size());
  for (const std::int64_t slice : candidates)
    costs.push_back(spec.training ? training_cost(spec, steps, slice) : inference_cost(spec, steps, batch, slice));
  const double together = costs.front(), fewest = costs.back(), least = *std::min_element(costs.begin(), costs.end());
  // Fewer images at a time take less memory: in training that is worth a fiftieth.
  const double enough = spec.training ? least * 1.02 : least;
  std::size_t best = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (costs[i] <= enough && (spec.training || costs[i] < costs[best])) best = i;
  }
  const auto traffic = [](double bytes) { return std::to_string(std::llround(bytes / 1024)) + " KiB"; };
  return {candidates[best], "modelled traffic an image " + traffic(costs[best]) + ", with the whole batch at a time " +
                                traffic(together) + ", with the fewest images " + traffic(fewest)};
}

}  // namespace polyadic

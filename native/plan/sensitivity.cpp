#include "sensitivity.h"

#include <utility>

#include "../core/status.h"
#include "../ops/gather.h"

namespace polyadic {

Sensitivity::Sensitivity(SensitivitySpec spec, const std::vector<Parameter>& parameters) : spec_(std::move(spec)) {
  for (SensitivitySpec::Factor& factor : spec_.factors) {
    if (factor.parameter < 0 || static_cast<std::size_t>(factor.parameter) >= parameters.size())
      throw Error(ErrorCode::argument, "sensitivity: unknown parameter");
    const Parameter& parameter = parameters[static_cast<std::size_t>(factor.parameter)];
    if (factor.component.size() != parameter.count)
      throw Error(ErrorCode::argument, "sensitivity: expected a component for each weight of a factor");
    for (const std::int32_t component : factor.component) {
      if (component < 0 || component >= spec_.components)
        throw Error(ErrorCode::argument, "sensitivity: unknown component");
    }
    if (!parameter.packing) continue;
    std::vector<std::int32_t> order = parameter.packing->packed_order();
    for (std::int32_t& index : order) {
      if (index >= 0) index = factor.component[static_cast<std::size_t>(index)];
    }
    factor.component = std::move(order);
  }
}

double Sensitivity::add(std::vector<Parameter>& parameters, bool with_gradient) const {
  const std::size_t count = spec_.factors.size(), components = static_cast<std::size_t>(spec_.components);
  std::vector<std::vector<double>> squares(count, std::vector<double>(components, 0.0));
  const auto each = [&](std::size_t n, auto&& f) {
    const SensitivitySpec::Factor& factor = spec_.factors[n];
    Parameter& parameter = parameters[static_cast<std::size_t>(factor.parameter)];
    for (std::size_t i = 0; i < factor.component.size(); ++i) {
      if (factor.component[i] >= 0) f(parameter, i, static_cast<std::size_t>(factor.component[i]));
    }
  };
  for (std::size_t n = 0; n < count; ++n) {
    each(n, [&](const Parameter& p, std::size_t i, std::size_t r) {
      squares[n][r] += static_cast<double>(p.data[i]) * static_cast<double>(p.data[i]);
    });
  }
  const auto product = [&](std::size_t r, std::size_t without, std::size_t and_without) {
    double result = 1;
    for (std::size_t k = 0; k < count; ++k) {
      if (k != without && k != and_without) result *= squares[k][r];
    }
    return result;
  };
  double total = 0;
  for (std::size_t r = 0; r < components; ++r) {
    for (std::size_t n = 0; n < count; ++n) total += spec_.factors[n].extent * product(r, n, n);
  }
  const double weight = static_cast<double>(spec_.weight);
  for (std::size_t m = 0; with_gradient && m < count; ++m) {
    if (!parameters[static_cast<std::size_t>(spec_.factors[m].parameter)].trainable) continue;
    std::vector<double> slope(components, 0.0);
    for (std::size_t r = 0; r < components; ++r) {
      for (std::size_t n = 0; n < count; ++n) {
        if (n != m) slope[r] += 2 * weight * spec_.factors[n].extent * product(r, n, m);
      }
    }
    each(m, [&](Parameter& p, std::size_t i, std::size_t r) {
      p.grad[i] += static_cast<float>(slope[r] * static_cast<double>(p.data[i]));
    });
  }
  return weight * total;
}

}  // namespace polyadic

// Updates by computed indices: ScatterElements and ScatterND.
#include <algorithm>
#include <cstring>

#include "../../core/status.h"
#include "indexed.h"
#include "larger.h"

namespace polyadic {
namespace {

// How an update meets what is there.
enum class Reduction { none, add, multiply, minimum, maximum };

Reduction find_reduction(const std::vector<std::string>& names) {
  if (names.empty()) return Reduction::none;
  if (names[0] == "add") return Reduction::add;
  if (names[0] == "multiply") return Reduction::multiply;
  if (names[0] == "minimum") return Reduction::minimum;
  if (names[0] == "maximum") return Reduction::maximum;
  throw Error(ErrorCode::argument, "scatter: unknown reduction \"" + names[0] + "\"");
}

// Inputs: data, indices, updates. The output begins with a copy of the data; then both passes go through the updates in
// order on one thread, as indices may repeat.
class IndexedScatter : public IndexedStep {
 public:
  IndexedScatter(const StepSpec& spec, StepResources resources)
      : IndexedStep(spec, resources, "scatter"), reduction_(find_reduction(spec_.names)) {
    expect_inputs(3);
    expect_rows(in(2));
    expect_count(out_, count(in()), "scatter");
    if (in(0).needs_grad || in(2).needs_grad) prepare_backward();
  }

  void forward(const Context&) override {
    std::memcpy(out_.data, in().data, static_cast<std::size_t>(count(in())) * sizeof(float));
    const float* updates = in(2).data;
    each_row([&](std::int64_t data, std::int64_t update) {
      for (std::int64_t j = 0; j < row(); ++j) meet(out_.data[data + j], updates[update + j]);
    });
  }

  void backward(const Context& context) override {
    float* to_data = gradient(context, 0);
    gradient(context, 1);
    float* to_updates = gradient(context, 2);
    if (!to_data && !to_updates) return;
    if (reduction_ == Reduction::add) return add_to_terms(to_data, to_updates);
    if (reduction_ == Reduction::multiply) return add_to_factors(to_data, to_updates);
    add_to_taken(to_data, to_updates);
  }

  std::string kernel() const override { return spec_.function; }
  std::size_t weight_bytes() const override {
    return (taken_.size() + places_.size()) * sizeof(std::int64_t) +
           (products_.size() + before_.size()) * sizeof(double);
  }

 private:
  void prepare_backward() {
    const std::size_t elements = static_cast<std::size_t>(count(in())),
                      updates = static_cast<std::size_t>(count(in(2)));
    if (reduction_ == Reduction::multiply) {
      products_.resize(elements);
      before_.resize(updates);
      places_.resize(static_cast<std::size_t>(rows()));
    } else if (reduction_ != Reduction::add) {
      taken_.resize(elements);
    }
  }

  void meet(float& value, float update) const {
    switch (reduction_) {
      case Reduction::add:
        value += update;
        break;
      case Reduction::multiply:
        value *= update;
        break;
      default:
        if (replaces(update, value)) value = update;
    }
  }

  // Whether of the two the update stays, where one of them does.
  bool replaces(float update, float value) const {
    if (reduction_ == Reduction::minimum) return is_smaller_of(update, value);
    if (reduction_ == Reduction::maximum) return is_larger_of(update, value);
    return true;
  }

  void add_to_terms(float* to_data, float* to_updates) const {
    if (to_data) {
      for (std::int64_t i = 0; i < count(in()); ++i) to_data[i] += out_.grad[i];
    }
    if (!to_updates) return;
    each_row([&](std::int64_t data, std::int64_t update) {
      for (std::int64_t j = 0; j < row(); ++j) to_updates[update + j] += out_.grad[data + j];
    });
  }

  // A factor's slope is the product of those before it times that of those behind it, which is exact where some are 0.
  void add_to_factors(float* to_data, float* to_updates) {
    const float* updates = in(2).data;
    std::copy(in().data, in().data + count(in()), products_.begin());
    std::size_t met = 0;
    each_row([&](std::int64_t data, std::int64_t update) {
      places_[met++] = data;
      for (std::int64_t j = 0; j < row(); ++j) {
        double& product = products_[static_cast<std::size_t>(data + j)];
        before_[static_cast<std::size_t>(update + j)] = product;
        product *= static_cast<double>(updates[update + j]);
      }
    });
    std::fill(products_.begin(), products_.end(), 1.0);
    while (met-- > 0) {
      const std::int64_t data = places_[met], update = static_cast<std::int64_t>(met) * row();
      for (std::int64_t j = 0; j < row(); ++j) {
        double& behind = products_[static_cast<std::size_t>(data + j)];
        const double slope = before_[static_cast<std::size_t>(update + j)] * behind;
        if (to_updates) to_updates[update + j] += times(out_.grad[data + j], slope);
        behind *= static_cast<double>(updates[update + j]);
      }
    }
    if (!to_data) return;
    for (std::int64_t i = 0; i < count(in()); ++i)
      to_data[i] += times(out_.grad[i], products_[static_cast<std::size_t>(i)]);
  }

  static float times(float gradient, double slope) { return static_cast<float>(static_cast<double>(gradient) * slope); }

  // All of an element's gradient goes to whom forward() left there.
  void add_to_taken(float* to_data, float* to_updates) {
    constexpr std::int64_t kData = -1;
    const float* updates = in(2).data;
    std::fill(taken_.begin(), taken_.end(), kData);
    each_row([&](std::int64_t data, std::int64_t update) {
      for (std::int64_t j = 0; j < row(); ++j) {
        std::int64_t& taken = taken_[static_cast<std::size_t>(data + j)];
        const float value = taken == kData ? in().data[data + j] : updates[taken];
        if (replaces(updates[update + j], value)) taken = update + j;
      }
    });
    for (std::int64_t i = 0; i < count(in()); ++i) {
      const std::int64_t taken = taken_[static_cast<std::size_t>(i)];
      if (taken == kData) {
        if (to_data) to_data[i] += out_.grad[i];
      } else if (to_updates) {
        to_updates[taken] += out_.grad[i];
      }
    }
  }

  Reduction reduction_;
  // Of the backward pass, each for the reductions that need it.
  std::vector<std::int64_t> taken_;   // by element of the data: the update that is there, −1 for the data's own
  std::vector<double> products_;      // by element of the data: of its factors so far
  std::vector<double> before_;        // by element of the updates: the product that it met
  std::vector<std::int64_t> places_;  // by row of the updates: where it goes
};

}  // namespace

std::unique_ptr<Step> make_scatter(const StepSpec& spec, StepResources resources) {
  return std::make_unique<IndexedScatter>(spec, resources);
}

}  // namespace polyadic

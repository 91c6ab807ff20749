// Reductions over any axes: sums in float64, in a fixed order.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../../core/status.h"
#include "dense.h"
#include "larger.h"
#include "nest.h"
#include "view_sum.h"

namespace polyadic {
namespace {

enum class Kind { sum, mean, maximum, minimum, product, l1, l2, log_sum, log_sum_exp, sum_square, arg_max, arg_min };

Kind find_kind(const std::string& name) {
  static const std::pair<const char*, Kind> kKinds[] = {{"sum", Kind::sum},
                                                        {"mean", Kind::mean},
                                                        {"maximum", Kind::maximum},
                                                        {"minimum", Kind::minimum},
                                                        {"product", Kind::product},
                                                        {"l1", Kind::l1},
                                                        {"l2", Kind::l2},
                                                        {"log_sum", Kind::log_sum},
                                                        {"log_sum_exp", Kind::log_sum_exp},
                                                        {"sum_square", Kind::sum_square},
                                                        {"arg_max", Kind::arg_max},
                                                        {"arg_min", Kind::arg_min}};
  for (const auto& [key, kind] : kKinds) {
    if (name == key) return kind;
  }
  throw Error(ErrorCode::argument, "reduce: unknown function \"" + name + "\"");
}

constexpr std::int64_t kLanes = 64;  // kept elements reduced together

class Reduce : public DenseStep {
 public:
  Reduce(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources), kind_(find_kind(spec_.function)) {
    if (spec_.views.size() != 2) throw Error(ErrorCode::argument, "reduce: two views are needed");
    Dims all = spec_.dims;
    all.insert(all.end(), spec_.reduced.begin(), spec_.reduced.end());
    DenseView whole = spec_.views[0];
    whole.offset += spec_.views[1].offset;
    whole.strides.insert(whole.strides.end(), spec_.views[1].strides.begin(), spec_.views[1].strides.end());
    check_reach(in(), all, whole, "reduce");
    expect_count(out_, polyadic::product(spec_.dims), "reduce");
    kept_ = simplify(spec_.dims, {spec_.views[0], {0, row_major(spec_.dims)}});
    reduced_ = simplify(spec_.reduced, {spec_.views[1]});
    size_ = polyadic::product(spec_.reduced);
    if (in().needs_grad) prepare_backward(all, whole);
  }

  void forward(const Context& context) override {
    const std::int64_t step = kept_.stride(0);
    each_line(context, kept_, [&](const auto& at, std::int64_t count) {
      for (std::int64_t first = 0; first < count; first += kLanes) {
        const std::int64_t lanes = std::min(kLanes, count - first);
        reduce(in().data + at[0] + first * step, step, lanes, out_.data + at[1] + first);
      }
    });
  }

  // Each element's slope is known from itself and the result; that of a product is the product of the others, and of a
  // maximum 1 for the first of the largest.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to || kind_ == Kind::arg_max || kind_ == Kind::arg_min) return;
    each_line(context, kept_, [&](const auto& at, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t x = at[0] + i * kept_.stride(0), y = at[1] + i * kept_.stride(1);
        slopes(in().data + x, out_.data[y], out_.grad[y], slopes_.data() + y * size_);
      }
    });
    sum_.add(context, slopes_.data(), to);
  }

  std::string kernel() const override { return spec_.function; }

 private:
  void prepare_backward(const Dims& all, const DenseView& whole) {
    slopes_ = Buffer(static_cast<std::size_t>(polyadic::product(all)));
    sum_ = ViewSum(all, {0, row_major(all)}, whole);
  }

  // dy times the slope of each reduced element, in their order.
  void slopes(const float* x, float y, float dy, float* to) const {
    const auto each = [&](auto f) {
      each_reduced([&](std::int64_t offset, std::int64_t index) { to[index] = dy * f(x[offset]); });
    };
    switch (kind_) {
      case Kind::sum:
        return each([](float) { return 1.0f; });
      case Kind::mean:
        return each([share = 1.0f / static_cast<float>(size_)](float) { return share; });
      case Kind::l1:
        return each([](float value) { return static_cast<float>((value > 0) - (value < 0)); });
      case Kind::l2:
        return each([y](float value) { return y == 0 ? 0.0f : value / y; });
      case Kind::log_sum:
        return each([slope = std::exp(-y)](float) { return slope; });
      case Kind::log_sum_exp:
        return each([y](float value) { return std::exp(value - y); });
      case Kind::sum_square:
        return each([](float value) { return 2 * value; });
      case Kind::product:
        return product_slopes(x, dy, to);
      default:
        break;
    }
    bool found = false;
    each_reduced([&](std::int64_t offset, std::int64_t index) {
      const bool is_first = !found && x[offset] == y;
      found = found || is_first;
      to[index] = is_first ? dy : 0.0f;
    });
  }

  // The product of those before, then times that of those behind.
  void product_slopes(const float* x, float dy, float* to) const {
    double before = static_cast<double>(dy);
    each_reduced([&](std::int64_t offset, std::int64_t index) {
      to[index] = static_cast<float>(before);
      before *= static_cast<double>(x[offset]);
    });
    std::vector<float> values(static_cast<std::size_t>(size_));
    each_reduced([&](std::int64_t offset, std::int64_t index) { values[static_cast<std::size_t>(index)] = x[offset]; });
    double behind = 1;
    for (std::int64_t index = size_; index-- > 0;) {
      to[index] = static_cast<float>(static_cast<double>(to[index]) * behind);
      behind *= static_cast<double>(values[static_cast<std::size_t>(index)]);
    }
  }

  // f(offset of element `index` of the reduced axes), in row-major order.
  template <class F>
  void each_reduced(F&& f) const {
    const std::int64_t line = reduced_.line(), step = reduced_.stride(0);
    std::array<std::int64_t, 16> position{};
    std::int64_t base = reduced_.views[0].offset;
    for (std::int64_t first = 0; first < size_; first += line) {
      for (std::int64_t i = 0; i < line; ++i) f(base + i * step, first + i);
      for (std::size_t axis = reduced_.dims.size() > 0 ? reduced_.dims.size() - 1 : 0; axis-- > 0;) {
        base += reduced_.views[0].strides[axis];
        if (++position[axis] < reduced_.dims[axis]) break;
        base -= reduced_.dims[axis] * reduced_.views[0].strides[axis];
        position[axis] = 0;
      }
    }
  }

  template <class F>
  void accumulate(const float* x, std::int64_t step, std::int64_t lanes, double* sums, F&& f) const {
    each_reduced([&](std::int64_t offset, std::int64_t) {
      const float* from = x + offset;
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        sums[lane] = f(sums[lane], static_cast<double>(from[lane * step]));
    });
  }

  void position(const float* x, std::int64_t step, std::int64_t lanes, float* out) const {
    const bool largest = kind_ == Kind::arg_max, last = spec_.flags[0];
    float best[kLanes];
    each_reduced([&](std::int64_t offset, std::int64_t index) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const float value = x[offset + lane * step];
        const bool better = largest ? is_larger(value, best[lane]) : is_smaller(value, best[lane]);
        const bool alike = value == best[lane] || (std::isnan(value) && std::isnan(best[lane]));
        if (index > 0 && !better && !(last && alike)) continue;
        best[lane] = value;
        out[lane] = static_cast<float>(index);
      }
    });
  }

  void reduce(const float* x, std::int64_t step, std::int64_t lanes, float* out) const {
    if (kind_ == Kind::arg_max || kind_ == Kind::arg_min) return position(x, step, lanes, out);
    double sums[kLanes];
    const auto start = [&](double value) { std::fill(sums, sums + lanes, value); };
    const auto finish = [&](auto f) {
      for (std::int64_t lane = 0; lane < lanes; ++lane) out[lane] = static_cast<float>(f(sums[lane]));
    };
    const double infinity = std::numeric_limits<double>::infinity();
    start(0);
    switch (kind_) {
      case Kind::sum:
      case Kind::mean:
      case Kind::log_sum:
        accumulate(x, step, lanes, sums, [](double sum, double value) { return sum + value; });
        break;
      case Kind::l1:
        accumulate(x, step, lanes, sums, [](double sum, double value) { return sum + std::abs(value); });
        break;
      case Kind::l2:
      case Kind::sum_square:
        accumulate(x, step, lanes, sums, [](double sum, double value) { return sum + value * value; });
        break;
      case Kind::product:
        start(1);
        accumulate(x, step, lanes, sums, [](double sum, double value) { return sum * value; });
        break;
      case Kind::minimum:
        start(infinity);
        accumulate(x, step, lanes, sums, [](double best, double value) { return smaller(value, best); });
        break;
      case Kind::maximum:
      case Kind::log_sum_exp:
        start(-infinity);
        accumulate(x, step, lanes, sums, [](double best, double value) { return larger(value, best); });
        break;
      default:
        break;
    }
    switch (kind_) {
      case Kind::mean:
        return finish([&](double sum) { return sum / static_cast<double>(size_); });
      case Kind::l2:
        return finish([](double sum) { return std::sqrt(sum); });
      case Kind::log_sum:
        return finish([](double sum) { return std::log(sum); });
      case Kind::log_sum_exp:
        return log_sum_exp(x, step, lanes, sums, out);
      default:
        return finish([](double sum) { return sum; });
    }
  }

  // largest + log Σ e^(x − largest)
  void log_sum_exp(const float* x, std::int64_t step, std::int64_t lanes, const double* largest, float* out) const {
    double sums[kLanes] = {};
    double base[kLanes];
    for (std::int64_t lane = 0; lane < lanes; ++lane) base[lane] = std::isfinite(largest[lane]) ? largest[lane] : 0;
    each_reduced([&](std::int64_t offset, std::int64_t) {
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        sums[lane] += std::exp(static_cast<double>(x[offset + lane * step]) - base[lane]);
    });
    for (std::int64_t lane = 0; lane < lanes; ++lane) out[lane] = static_cast<float>(base[lane] + std::log(sums[lane]));
  }

  Kind kind_;
  Nest kept_, reduced_;
  Buffer slopes_;  // backward: by result, then by reduced element
  ViewSum sum_;
  std::int64_t size_ = 0;
};

}  // namespace

std::unique_ptr<Step> make_reduce(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Reduce>(spec, resources);
}

}  // namespace polyadic

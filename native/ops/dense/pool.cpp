// Pooling over any number of spatial axes, with the indices of maxima where asked for: what the blocked pools do not
// do.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "../../core/status.h"
#include "dense.h"
#include "larger.h"
#include "nest.h"

namespace polyadic {
namespace {

// sizes: planes. tables: spatial extents of the input, of the output, kernel, strides, dilations, pads at the
// beginning, at the end. function: maximum, average, norm. flags: pads count in averages, indices behind the output,
// indices in column-major order. numbers: p of the norm.
class DensePool : public DenseStep {
 public:
  DensePool(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(1);
    if (spec_.tables.size() != 7) throw Error(ErrorCode::argument, "pool: seven tables are needed");
    axes_ = spec_.tables[0].size();
    for (const Dims& table : spec_.tables) {
      if (table.size() != axes_ || axes_ < 1 || axes_ > 8) throw Error(ErrorCode::argument, "pool: 1 to 8 axes");
    }
    for (std::size_t axis = 0; axis < axes_; ++axis) {
      if (kernel(axis) < 1 || stride(axis) < 1 || dilation(axis) < 1)
        throw Error(ErrorCode::argument, "pool: kernel, strides and dilations of at least 1 are needed");
    }
    area_ = product(spec_.tables[0]);
    out_area_ = product(spec_.tables[1]);
    expect_count(in(), spec_.sizes[0] * area_, "pool");
    expect_count(out_, spec_.sizes[0] * out_area_ * (spec_.flags[1] ? 2 : 1), "pool");
    steps_ = row_major(spec_.tables[0]);
    column_major_.assign(axes_, 1);
    for (std::size_t axis = 1; axis < axes_; ++axis)
      column_major_[axis] = column_major_[axis - 1] * spec_.tables[0][axis - 1];
    maximum_ = spec_.function == "maximum";
    average_ = spec_.function == "average";
    power_ = spec_.numbers.empty() ? 2 : static_cast<double>(spec_.numbers[0]);
  }

  void forward(const Context& context) override {
    each_window(context,
                [&](std::int64_t plane, std::int64_t index, const Window& window) { output(plane, index, window); });
  }

  // A maximum's goes to the first of its largest elements. Windows of a plane overlap: they come one after another.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to) return;
    each_window(context, [&](std::int64_t plane, std::int64_t index, const Window& window) {
      const float dy = out_.grad[plane * out_area_ + index];
      const float* x = in().data + plane * area_;
      float* dx = to + plane * area_;
      if (maximum_) {
        if (window.inside > 0) dx[largest(x, window).place] += dy;
      } else if (average_) {
        const float share = static_cast<float>(static_cast<double>(dy) / elements(window));
        each_element(window, [&](std::int64_t offset) { dx[offset] += share; });
      } else {
        const double y = static_cast<double>(out_.data[plane * out_area_ + index]);
        each_element(window, [&](std::int64_t offset) {
          const double value = static_cast<double>(x[offset]);
          if (y == 0 || value == 0) return;
          const double slope = std::pow(std::abs(value) / y, power_ - 1) * (value < 0 ? -1 : 1);
          dx[offset] += static_cast<float>(static_cast<double>(dy) * slope);
        });
      }
    });
  }

  std::string kernel() const override { return spec_.function; }

 private:
  std::int64_t kernel(std::size_t axis) const { return spec_.tables[2][axis]; }
  std::int64_t stride(std::size_t axis) const { return spec_.tables[3][axis]; }
  std::int64_t dilation(std::size_t axis) const { return spec_.tables[4][axis]; }

  struct Window {
    std::array<std::int64_t, 8> first{}, begin{}, end{};  // kernel positions [begin, end) lie inside
    std::int64_t padded = 1, inside = 1;                  // elements with and without padding
  };

  Window window_at(const std::array<std::int64_t, 8>& position) const {
    Window window;
    for (std::size_t k = 0; k < axes_; ++k) {
      const std::int64_t size = spec_.tables[0][k], step = dilation(k);
      const std::int64_t first = position[k] * stride(k) - spec_.tables[5][k];
      window.first[k] = first;
      window.begin[k] = first < 0 ? (-first + step - 1) / step : 0;
      window.end[k] = std::min(kernel(k), (size - first + step - 1) / step);
      window.padded *= std::min(kernel(k), (size + spec_.tables[6][k] - first + step - 1) / step);
      window.inside *= std::max<std::int64_t>(0, window.end[k] - window.begin[k]);
    }
    return window;
  }

  // f(plane, output of it, its window), a plane a job.
  template <class F>
  void each_window(const Context& context, F&& f) const {
    context.parallel(spec_.sizes[0], [&](std::int64_t plane, int) {
      std::array<std::int64_t, 8> position{};
      for (std::int64_t i = 0; i < out_area_; ++i) {
        f(plane, i, window_at(position));
        for (std::size_t k = axes_; k-- > 0 && ++position[k] == spec_.tables[1][k];) position[k] = 0;
      }
    });
  }

  // f(offset in the plane) for each element of a window.
  template <class F>
  void each_element(const Window& window, F&& f) const {
    std::array<std::int64_t, 8> at = window.begin;
    for (std::int64_t i = 0; i < window.inside; ++i) {
      std::int64_t offset = 0;
      for (std::size_t k = 0; k < axes_; ++k) offset += (window.first[k] + at[k] * dilation(k)) * steps_[k];
      f(offset);
      for (std::size_t k = axes_; k-- > 0 && ++at[k] == window.end[k];) at[k] = window.begin[k];
    }
  }

  struct Largest {
    float value;
    std::int64_t place;
  };

  Largest largest(const float* x, const Window& window) const {
    Largest best{-std::numeric_limits<float>::infinity(), -1};
    each_element(window, [&](std::int64_t offset) {
      if (best.place < 0 || is_larger(x[offset], best.value)) best = {x[offset], offset};
    });
    return best;
  }

  // What an average is divided by.
  double elements(const Window& window) const {
    return static_cast<double>(spec_.flags[0] ? window.padded : window.inside);
  }

  void output(std::int64_t plane, std::int64_t index, const Window& window) {
    const float* x = in().data + plane * area_;
    const std::int64_t to = plane * out_area_ + index;
    if (maximum_) {
      const Largest best = largest(x, window);
      out_.data[to] = best.value;
      if (!spec_.flags[1]) return;
      const std::int64_t place = std::max<std::int64_t>(0, best.place);
      out_.data[spec_.sizes[0] * out_area_ + to] = static_cast<float>(place_of(plane, place));
      return;
    }
    double sum = 0;
    each_element(window, [&](std::int64_t offset) {
      const double value = static_cast<double>(x[offset]);
      sum += average_ ? value : std::pow(std::abs(value), power_);
    });
    if (average_) {
      out_.data[to] = static_cast<float>(sum / elements(window));
    } else {
      out_.data[to] = static_cast<float>(std::pow(sum, 1 / power_));
    }
  }

  std::int64_t place_of(std::int64_t plane, std::int64_t offset) const {
    if (!spec_.flags[2]) return plane * area_ + offset;
    std::int64_t place = 0;
    for (std::size_t k = 0; k < axes_; ++k) place += offset / steps_[k] % spec_.tables[0][k] * column_major_[k];
    return plane * area_ + place;
  }

  std::size_t axes_ = 0;
  std::int64_t area_ = 0, out_area_ = 0;
  Dims steps_, column_major_;
  bool maximum_ = false, average_ = false;
  double power_ = 2;
};

}  // namespace

std::unique_ptr<Step> make_dense_pool(const StepSpec& spec, StepResources resources) {
  return std::make_unique<DensePool>(spec, resources);
}

}  // namespace polyadic

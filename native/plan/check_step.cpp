#include "check_step.h"

#include <algorithm>
#include <string>

#include "../core/limits.h"
#include "../core/status.h"

namespace polyadic {
namespace {

// Products of sizes are formed in double, where they cannot overflow.
constexpr double kMost = static_cast<double>(kMostElements);

// Ways in which positions of an image meet a stride, each with its own list of taps and panel of weights.
constexpr double kMostPhases = 65536;

class Checker {
 public:
  Checker(const PlanSpec& plan, const StepSpec& step) : plan_(plan), step_(step) {}

  void check() const {
    for (const int input : step_.inputs) demand(elements(value(input)) <= kMost, "an input is too large");
    demand(elements(out()) <= kMost, "the output is too large");
    switch (step_.op) {
      case Op::convolution:
        check_window(step_.convolution.window, in(), true);
        if (plan_.training) check_phases(step_.convolution.window, in());
        check_weights(step_.convolution);
        check_channels(step_.convolution);
        check_fused();
        break;
      case Op::conv_transpose:  // the convolution whose gradient it is has its output for an input
        count(1);
        check_window(step_.convolution.window, out(), true);
        check_phases(step_.convolution.window, out());
        check_weights(step_.convolution);
        break;
      case Op::cp_block:
        for (const ConvolutionSpec& stage : step_.stages) {
          check_window(stage.window, in(), &stage == &step_.stages.front());
          check_weights(stage);
        }
        // Only the last stage has the output's channels: those before it have the rank's.
        check_channels(step_.stages.back());
        check_fused();
        break;
      case Op::activation:
      case Op::convert:
      case Op::softmax:
      case Op::log_softmax:
      case Op::lrn:
      case Op::dropout:
        count(1);
        demand(same(in(), out()), "input and output differ in shape");
        break;
      case Op::affine:
        count(1);
        demand(same(in(), out()), "input and output differ in shape");
        demand(has_channels(step_.scale) && has_channels(step_.shift), "scale and shift need one value a channel");
        break;
      case Op::batch_norm:
        demand(same(in(), out()), "input and output differ in shape");
        check_fused();
        break;
      case Op::add:
      case Op::multiply:
        count(2);
        demand(same(in(), out()) && same(value(step_.inputs[1]), out()), "operands and result differ in shape");
        break;
      case Op::maxout:
        count(1);
        demand(same_but_channels(in(), out()) && in().c % step_.maxout.pieces == 0 &&
                   in().c / step_.maxout.pieces == out().c,
               "the pieces do not make the output's channels");
        break;
      case Op::max_pool:
      case Op::average_pool:
        count(1);
        check_window(step_.window, in(), true);
        demand(in().n == out().n && in().c == out().c, "images or channels differ");
        break;
      case Op::global_average_pool:
        count(1);
        demand(in().n == out().n && in().c == out().c && out().h == 1 && out().w == 1, "expected an output N×C×1×1");
        break;
      case Op::flatten:
        count(1);
        demand(in().n == out().n && out().h == 1 && out().w == 1 && out().c == in().c * in().h * in().w,
               "expected an output N×(C·H·W)×1×1");
        break;
      case Op::concat: {
        std::int64_t channels = 0;
        for (const int input : step_.inputs) {
          demand(same_but_channels(value(input), out()), "inputs and output differ in more than their channels");
          channels += value(input).c;
        }
        demand(channels == out().c, "the inputs do not make the output's channels");
        break;
      }
      default:
        break;
    }
  }

 private:
  void demand(bool holds, const char* otherwise) const {
    if (!holds) throw Error(ErrorCode::shape, std::string(op_name(step_.op)) + ": " + otherwise);
  }
  const ValueSpec& value(int index) const { return plan_.values[static_cast<std::size_t>(index)]; }
  const ValueSpec& in() const { return value(step_.inputs[0]); }
  const ValueSpec& out() const { return value(step_.output); }

  static double elements(const ValueSpec& v) {
    return static_cast<double>(v.n) * static_cast<double>(v.c) * static_cast<double>(v.h) * static_cast<double>(v.w);
  }
  static bool same_but_channels(const ValueSpec& a, const ValueSpec& b) {
    return a.n == b.n && a.h == b.h && a.w == b.w;
  }
  static bool same(const ValueSpec& a, const ValueSpec& b) { return same_but_channels(a, b) && a.c == b.c; }

  void count(std::size_t inputs) const { demand(step_.inputs.size() == inputs, "wrong number of inputs"); }

  bool has_channels(int parameter) const {
    return parameter >= 0 &&
           static_cast<std::int64_t>(plan_.parameters[static_cast<std::size_t>(parameter)].size()) == out().c;
  }

  // The image with its pads, and the window as dilation spreads it; `fits`: the image is the window's own.
  void check_window(const Window& window, const ValueSpec& image, bool fits) const {
    double padded = static_cast<double>(image.n) * static_cast<double>(image.c);
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const double extent = static_cast<double>(axis == 0 ? image.h : image.w);
      const double with_pads =
          extent + static_cast<double>(window.pads[axis]) + static_cast<double>(window.pads[axis + 2]);
      padded *= with_pads;
      const double reach =
          static_cast<double>(window.dilations[axis]) * static_cast<double>(window.kernel[axis] - 1) + 1;
      demand(reach <= (fits ? with_pads : kMost), "the window is larger than its padded input");
    }
    demand(padded <= kMost, "the padded input is too large");
  }

  void check_phases(const Window& window, const ValueSpec& image) const {
    const double rows = static_cast<double>(std::min(window.strides[0], image.h));
    const double columns = static_cast<double>(std::min(window.strides[1], image.w));
    demand(rows * columns <= kMostPhases, "the strides are too large");
  }

  // Before anything is multiplied or laid out by tap.
  void check_weights(const ConvolutionSpec& conv) const {
    const double weights = static_cast<double>(plan_.parameters[static_cast<std::size_t>(conv.weight)].size());
    demand(static_cast<double>(conv.window.kernel[0]) * static_cast<double>(conv.window.kernel[1]) <= weights,
           "more taps than weights");
  }

  void check_channels(const ConvolutionSpec& conv) const {
    const double weights = static_cast<double>(plan_.parameters[static_cast<std::size_t>(conv.weight)].size());
    demand(static_cast<double>(out().c) * static_cast<double>(step_.maxout.pieces) <= weights,
           "more channels than weights");
  }

  void check_fused() const {
    count(1);
    demand(in().n == out().n, "input and output differ in images");
    demand(step_.residual < 0 || same(value(step_.residual), out()), "residual and output differ in shape");
  }

  const PlanSpec& plan_;
  const StepSpec& step_;
};

}  // namespace

void check_step(const PlanSpec& plan, const StepSpec& step) { Checker(plan, step).check(); }

}  // namespace polyadic

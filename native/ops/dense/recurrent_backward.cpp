// Part of Recurrent: the backward pass. Time steps in reverse leave the gradients of their gates' sums in the place of
// the gates; the weights' gradients are then products over all time steps at once.
#include "recurrent.h"

#include <algorithm>

namespace polyadic {
namespace {

constexpr std::int64_t kColumns = 64;  // summed by one thread at a time

// to[i] += Σ value(row, i) over `rows` rows, in their order.
template <class F>
void add_columns(const Context& context, std::int64_t rows, std::int64_t columns, float* to, F&& value) {
  context.parallel((columns + kColumns - 1) / kColumns, [&](std::int64_t part, int) {
    const std::int64_t first = part * kColumns, many = std::min(kColumns, columns - first);
    double sums[kColumns] = {};
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < many; ++i) sums[i] += value(row, first + i);
    }
    for (std::int64_t i = 0; i < many; ++i) to[first + i] += static_cast<float>(sums[i]);
  });
}

}  // namespace

void Recurrent::prepare_backward() {
  const std::int64_t rows = steps_ * batch_;
  const auto floats = [](std::int64_t count) { return Buffer(static_cast<std::size_t>(count)); };
  const bool keep = std::any_of(cells_.begin(), cells_.end(), [](const auto& cell) { return cell->keeps_sums(); });
  if (keep) sums_ = floats(directions_ * rows * width());
  back_.h_before = floats(rows * hidden_);
  if (gates_ == 4) back_.c_before = floats(rows * hidden_);
  back_.dh = floats(state());
  back_.dc = floats(state());
  back_.recurrence = PackedMatrix(direct(), hidden_);
  if (is_gru()) {
    back_.candidate = PackedMatrix(hidden_, hidden_);
    back_.product = floats(state());
  }
  if (in(0).needs_grad) back_.weights = PackedMatrix(width(), size_);
  if (in(1).needs_grad) {
    back_.inputs = PackedMatrix(rows, size_);
    if (place(kLengths) >= 0) back_.x = floats(rows * size_);
  }
  if (in(2).needs_grad) back_.states = PackedMatrix(rows, hidden_);
}

void Recurrent::backward(const Context& context) {
  std::vector<float*> to;
  for (std::size_t i = 0; i < inputs_.size(); ++i) to.push_back(gradient(context, i));
  const auto part = [&](Optional which) {
    return place(which) < 0 ? nullptr : to[static_cast<std::size_t>(place(which))];
  };
  const auto add = [&](const Buffer& from, float* start, std::int64_t d) {
    for (std::int64_t i = 0; start && i < state(); ++i) start[d * state() + i] += from.data()[i];
  };
  for (std::int64_t d = 0; d < directions_; ++d) {
    gather_states(context, d);
    const float* last = out_.grad + (steps_ * directions_ + d) * state();
    std::copy_n(last, state(), back_.dh.data());
    std::copy_n(last + directions_ * state(), state(), back_.dc.data());
    const float* recurrence = in(2).data + d * width() * hidden_;
    back_.recurrence.pack_all(context, recurrence, hidden_, 1);
    if (is_gru()) back_.candidate.pack_all(context, recurrence + direct() * hidden_, hidden_, 1);
    for (std::int64_t k = steps_; k-- > 0;) {
      if (context.stopping()) return;
      step_back(context, moment(d, k));
    }
    weight_gradients(context, d, to);
    if (float* bias = part(kBias)) bias_gradients(context, d, bias);
    if (float* peepholes = part(kPeepholes)) peephole_gradients(context, d, peepholes);
    add(back_.dh, part(kInitialH), d);
    add(back_.dc, part(kInitialC), d);
  }
}

// A sequence goes on from the time step before, or from the initial state: at its beginning and, backwards, at its end.
void Recurrent::gather_states(const Context& context, std::int64_t direction) {
  const auto copy = [&](float* to, const float* before, Optional initial, std::int64_t image) {
    const float* start = optional(initial);
    if (!before && start) before = start + (direction * batch_ + image) * hidden_;
    if (before) {
      std::copy_n(before, hidden_, to);
    } else {
      std::fill_n(to, hidden_, 0.0f);
    }
  };
  context.parallel(steps_, [&](std::int64_t k, int) {
    const Moment at = moment(direction, k);
    for (std::int64_t image = 0; image < batch_; ++image) {
      const bool begins = at.before < 0 || has_ended(at.before, image);
      const std::int64_t to = (at.time * batch_ + image) * hidden_;
      copy(back_.h_before.data() + to, begins ? nullptr : y(out_.data, {direction, at.before, -1}, image), kInitialH,
           image);
      if (gates_ == 4)
        copy(back_.c_before.data() + to, begins ? nullptr : kept({direction, at.before, -1}, image), kInitialC, image);
    }
  });
}

void Recurrent::step_back(const Context& context, const Moment& at) {
  const RecurrentCell& cell = *cells_[static_cast<std::size_t>(at.direction)];
  float *dh = back_.dh.data(), *dc = back_.dc.data(), *product = back_.product.data();
  const auto row_of = [&](std::int64_t image, int thread) {
    CellRow row = cell_row(at, image, dh, dc);
    row.h_before = back_.h_before.data() + (at.time * batch_ + image) * hidden_;
    if (gates_ == 4) row.c_before = back_.c_before.data() + (at.time * batch_ + image) * hidden_;
    if (is_gru()) row.product = product + image * hidden_;
    row.scratch = context.scratch(thread);
    return row;
  };
  each_image(
      context, at.time,
      [&](std::int64_t image, int thread) {
        const CellRow row = row_of(image, thread);
        const float* dy = y(out_.grad, at, image);
        for (std::int64_t i = 0; i < hidden_; ++i) row.h[i] += dy[i];
        cell.finish_back(row);
      },
      [&](std::int64_t image) { std::fill_n(gates(at, image), width(), 0.0f); });
  if (resets_behind()) back_.candidate.multiply_all(context, kept(at), hidden_, 1, batch_, dh, hidden_, true);
  if (is_gru() && !resets_behind()) {
    back_.candidate.multiply_all(context, gates(at) + direct(), width(), 1, batch_, product, hidden_, false);
    each_image(
        context, at.time, [&](std::int64_t image, int thread) { cell.reset_back(row_of(image, thread)); },
        [](std::int64_t) {});
  }
  back_.recurrence.multiply_all(context, gates(at), width(), 1, batch_, dh, hidden_, true);
}

// X, W and R: dX = dS·W, dW = dSᵀ·X, dR = dSᵀ·h. Of a GRU's candidate the second operand is the reset state, or the
// first one the gradient of its own product: either is what has been kept.
void Recurrent::weight_gradients(const Context& context, std::int64_t direction, const std::vector<float*>& to) {
  const std::int64_t rows = steps_ * batch_;
  const Moment first{direction, 0, -1};
  const float *sums = gates(first), *h_before = back_.h_before.data();
  if (to[0]) {
    back_.weights.pack_all(context, in(1).data + direction * width() * size_, size_, 1);
    back_.weights.multiply_all(context, sums, width(), 1, rows, to[0], size_, true);
  }
  if (to[1]) {
    back_.inputs.pack_all(context, optional(kLengths) ? without_padding(context) : in(0).data, size_, 1);
    back_.inputs.multiply_all(context, sums, 1, width(), width(), to[1] + direction * width() * size_, size_, true);
  }
  if (!to[2]) return;
  float* recurrence = to[2] + direction * width() * hidden_;
  float* candidate = recurrence + direct() * hidden_;
  back_.states.pack_all(context, h_before, hidden_, 1);
  back_.states.multiply_all(context, sums, 1, width(), direct(), recurrence, hidden_, true);
  if (resets_behind()) back_.states.multiply_all(context, kept(first), 1, hidden_, hidden_, candidate, hidden_, true);
  if (!is_gru() || resets_behind()) return;
  back_.states.pack_all(context, kept(first), hidden_, 1);
  back_.states.multiply_all(context, sums + direct(), 1, width(), hidden_, candidate, hidden_, true);
}

// X with zeros behind the ends of sequences: gradients are 0 there, which is no help against what is not finite.
const float* Recurrent::without_padding(const Context& context) {
  context.parallel(steps_, [&](std::int64_t time, int) {
    for (std::int64_t image = 0; image < batch_; ++image) {
      const std::int64_t at = (time * batch_ + image) * size_;
      if (has_ended(time, image)) {
        std::fill_n(back_.x.data() + at, size_, 0.0f);
      } else {
        std::copy_n(in(0).data + at, size_, back_.x.data() + at);
      }
    }
  });
  return back_.x.data();
}

void Recurrent::bias_gradients(const Context& context, std::int64_t direction, float* to) {
  const std::int64_t rows = steps_ * batch_, all = width();
  const Moment first{direction, 0, -1};
  const float *sums = gates(first), *own = resets_behind() ? kept(first) : nullptr;
  float *of_inputs = to + direction * 2 * all, *of_states = of_inputs + all;
  const auto sum = [&](std::int64_t row, std::int64_t i) { return static_cast<double>(sums[row * all + i]); };
  add_columns(context, rows, all, of_inputs, sum);
  add_columns(context, rows, own ? direct() : all, of_states, sum);
  if (!own) return;
  add_columns(context, rows, hidden_, of_states + direct(),
              [&](std::int64_t row, std::int64_t i) { return static_cast<double>(own[row * hidden_ + i]); });
}

// Peepholes and gates both lie in the order input, output, forget.
void Recurrent::peephole_gradients(const Context& context, std::int64_t direction, float* to) {
  const Moment first{direction, 0, -1};
  const float* sums = gates(first);
  const float* seen[] = {back_.c_before.data(), kept(first), back_.c_before.data()};
  for (std::int64_t gate = 0; gate < 3; ++gate) {
    add_columns(context, steps_ * batch_, hidden_, to + (direction * 3 + gate) * hidden_,
                [&](std::int64_t row, std::int64_t i) {
                  return static_cast<double>(sums[row * width() + gate * hidden_ + i]) *
                         static_cast<double>(seen[gate][row * hidden_ + i]);
                });
  }
}

}  // namespace polyadic

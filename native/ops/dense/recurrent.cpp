// Part of Recurrent: what both passes share, and the forward one.
#include "recurrent.h"

#include <algorithm>

#include "../../core/status.h"

namespace polyadic {

Recurrent::Recurrent(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
  expect_sizes(6);
  expect_inputs(3);
  steps_ = spec_.sizes[0];
  batch_ = spec_.sizes[1];
  size_ = spec_.sizes[2];
  hidden_ = spec_.sizes[3];
  directions_ = spec_.sizes[4];
  gates_ = spec_.function == "lstm" ? 4 : spec_.function == "gru" ? 3 : 1;
  const std::int64_t states = product({directions_, batch_, hidden_}), all = product({gates_, hidden_});
  expect_count(in(0), product({steps_, batch_, size_}), "recurrent: X");
  expect_count(in(1), product({directions_, all, size_}), "recurrent: W");
  expect_count(in(2), product({directions_, all, hidden_}), "recurrent: R");
  expect_count(out_, product({steps_ + 2, states}), "recurrent: Y");
  if (spec_.tables.size() != 1 || spec_.tables[0].size() != 5) throw Error(ErrorCode::argument, "recurrent: inputs");
  const std::int64_t counts[] = {directions_ * 2 * all, batch_, states, states, directions_ * 3 * hidden_};
  for (std::size_t i = 0; i < 5; ++i) {
    const std::int64_t index = spec_.tables[0][i];
    if (index >= static_cast<std::int64_t>(inputs_.size())) throw Error(ErrorCode::argument, "recurrent: inputs");
    if (index >= 0) expect_count(in(static_cast<std::size_t>(index)), counts[i], "recurrent");
  }
  if (gates_ != 4 && (place(kInitialC) >= 0 || place(kPeepholes) >= 0))
    throw Error(ErrorCode::argument, "recurrent: only an LSTM has cells and peepholes");
  const std::int64_t functions = gates_ == 4 ? 3 : gates_ == 3 ? 2 : 1;
  if (static_cast<std::int64_t>(spec.cell.size()) != directions_ * functions || spec_.numbers.size() != 1)
    throw Error(ErrorCode::argument, "recurrent: activations");
  trains_ = std::any_of(inputs_.begin(), inputs_.end(), [](const Value* value) { return value->needs_grad; });
  for (std::int64_t d = 0; d < directions_; ++d) {
    const auto first = spec.cell.begin() + d * functions;
    cells_.push_back(make_cell(spec_.function, {first, first + functions}, hidden_, spec_.numbers[0], spec_.flags[0]));
    if (!cells_.back()) throw Error(ErrorCode::argument, "recurrent: unknown function \"" + spec_.function + "\"");
    weights_.emplace_back(size_, width());
    recurrences_.emplace_back(hidden_, direct());
    if (is_gru()) candidates_.emplace_back(hidden_, hidden_);
  }
  const std::size_t rows = static_cast<std::size_t>((trains_ ? directions_ : 1) * product({steps_, batch_}));
  gate_values_ = Buffer(rows * static_cast<std::size_t>(width()));
  if (is_gru() || (trains_ && gates_ == 4))
    kept_ = Buffer((trains_ ? rows : static_cast<std::size_t>(batch_)) * static_cast<std::size_t>(hidden_));
  if (trains_) prepare_backward();
}

std::size_t Recurrent::weight_bytes() const {
  std::size_t bytes = (gate_values_.size() + sums_.size() + kept_.size()) * sizeof(float);
  for (const Buffer* buffer : {&back_.h_before, &back_.c_before, &back_.x, &back_.dh, &back_.dc, &back_.product})
    bytes += buffer->size() * sizeof(float);
  for (const auto* list : {&weights_, &recurrences_, &candidates_}) {
    for (const PackedMatrix& matrix : *list) bytes += matrix.bytes();
  }
  for (const PackedMatrix* matrix : {&back_.recurrence, &back_.candidate, &back_.weights, &back_.inputs, &back_.states})
    bytes += matrix->bytes();
  return bytes;
}

Recurrent::Moment Recurrent::moment(std::int64_t direction, std::int64_t step) const {
  const bool backwards = direction == 1 || spec_.sizes[5] != 0;
  if (backwards) return {direction, steps_ - 1 - step, step == 0 ? -1 : steps_ - step};
  return {direction, step, step - 1};
}

CellRow Recurrent::cell_row(const Moment& at, std::int64_t image, float* h, float* c) {
  CellRow result{};
  result.gates = gates(at, image);
  if (sums_.size() > 0) result.sums = sums_.data() + row(at, image) * width();
  if (kept_.size() > 0) result.kept = kept(at, image);
  result.h = h + image * hidden_;
  result.c = c + image * hidden_;
  const float *peepholes = optional(kPeepholes), *bias = optional(kBias);
  if (peepholes) result.extra = peepholes + at.direction * 3 * hidden_;
  if (resets_behind() && bias) result.extra = bias + (at.direction * 2 + 1) * width() + direct();
  return result;
}

void Recurrent::forward(const Context& context) {
  if (!is_packed_ || !in(1).constant || !in(2).constant) {
    pack(context);
    is_packed_ = !context.stopping();  // else panels may have been left out
  }
  std::fill(out_.data, out_.data + count(out_), 0.0f);
  for (std::int64_t d = 0; d < directions_; ++d) {
    input_sums(context, d);
    float* h = out_.data + (steps_ * directions_ + d) * state();
    float* c = h + directions_ * state();
    if (const float* start = optional(kInitialH)) std::copy_n(start + d * state(), state(), h);
    if (const float* start = optional(kInitialC)) std::copy_n(start + d * state(), state(), c);
    for (std::int64_t k = 0; k < steps_; ++k) {
      if (context.stopping()) return;
      step(context, moment(d, k), h, c);
    }
  }
}

void Recurrent::pack(const Context& context) {
  for (std::int64_t d = 0; d < directions_; ++d) {
    const std::size_t at = static_cast<std::size_t>(d);
    const float* recurrence = in(2).data + d * width() * hidden_;
    weights_[at].pack_all(context, in(1).data + d * width() * size_, 1, size_);
    recurrences_[at].pack_all(context, recurrence, 1, hidden_);
    if (is_gru()) candidates_[at].pack_all(context, recurrence + direct() * hidden_, 1, hidden_);
  }
}

// gates = X·Wᵀ + the biases, but for that which waits for a reset.
void Recurrent::input_sums(const Context& context, std::int64_t direction) {
  float* sums = gates({direction, 0, -1});
  const std::int64_t rows = steps_ * batch_;
  weights_[static_cast<std::size_t>(direction)].multiply_all(context, in(0).data, size_, 1, rows, sums, width(), false);
  const float* bias = optional(kBias);
  if (!bias) return;
  bias += direction * 2 * width();
  const std::int64_t both = resets_behind() ? direct() : width();
  context.parallel(steps_, [&](std::int64_t time, int) {
    for (std::int64_t image = 0; image < batch_; ++image) {
      float* to = sums + (time * batch_ + image) * width();
      for (std::int64_t i = 0; i < width(); ++i) to[i] += bias[i] + (i < both ? bias[width() + i] : 0.0f);
    }
  });
}

void Recurrent::step(const Context& context, const Moment& at, float* h, float* c) {
  const std::size_t d = static_cast<std::size_t>(at.direction);
  const RecurrentCell& cell = *cells_[d];
  recurrences_[d].multiply_all(context, h, hidden_, 1, batch_, gates(at), width(), true);
  if (is_gru()) {
    if (resets_behind()) candidates_[d].multiply_all(context, h, hidden_, 1, batch_, kept(at), hidden_, false);
    each_image(
        context, at.time, [&](std::int64_t image, int) { cell.reset(cell_row(at, image, h, c)); }, [](std::int64_t) {});
    if (!resets_behind())
      candidates_[d].multiply_all(context, kept(at), hidden_, 1, batch_, gates(at) + direct(), width(), true);
  }
  each_image(
      context, at.time,
      [&](std::int64_t image, int) {
        const CellRow row = cell_row(at, image, h, c);
        cell.finish(row);
        std::copy_n(row.h, hidden_, y(out_.data, at, image));
      },
      [&](std::int64_t image) {
        if (trains_ && kept_.size() > 0) std::fill_n(kept(at, image), hidden_, 0.0f);
      });
}

std::unique_ptr<Step> make_recurrent(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Recurrent>(spec, resources);
}

}  // namespace polyadic

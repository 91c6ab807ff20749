// LSTM, GRU and simple recurrent layers as ONNX defines them: the inputs' products for all time steps at once, then one
// small product a step.
#pragma once

#include "dense.h"
#include "packed_matrix.h"
#include "recurrent_cell.h"

namespace polyadic {

// function: lstm, gru, rnn. sizes: steps T, batch B, input I, hidden H, directions D, 1 where the first direction is
// backwards. Inputs: X T×B×I, W D×GH×I, R D×GH×H, and those that tables[0] places (−1: none): bias D×2GH, lengths B,
// initial h and c D×B×H, peepholes D×3H. cell: activations, direction by direction. numbers: clip (0: none).
// flags: lstm: forget = 1 − input; gru: linear before reset.
// Output: Y T×D×B×H, then the last h and c, D×B×H each.
class Recurrent : public DenseStep {
 public:
  Recurrent(const StepSpec& spec, StepResources resources);

  void forward(const Context& context) override;
  void backward(const Context& context) override;
  std::string kernel() const override { return spec_.function; }
  std::size_t weight_bytes() const override;
  std::size_t scratch_floats() const override { return trains_ ? static_cast<std::size_t>(3 * hidden_) : 0; }

 private:
  enum Optional : std::size_t { kBias, kLengths, kInitialH, kInitialC, kPeepholes };

  // A time step of a direction; `before`: the one that it goes on from, none where negative.
  struct Moment {
    std::int64_t direction, time, before;
  };
  Moment moment(std::int64_t direction, std::int64_t step) const;

  std::int64_t width() const { return gates_ * hidden_; }
  std::int64_t state() const { return batch_ * hidden_; }
  bool is_gru() const { return gates_ == 3; }
  bool resets_behind() const { return is_gru() && spec_.flags[0]; }
  // Gates whose sums are one product with h: all but a GRU's candidate.
  std::int64_t direct() const { return is_gru() ? 2 * hidden_ : width(); }
  // Where an optional input is among the inputs; its data.
  std::int64_t place(Optional which) const { return spec_.tables[0][which]; }
  const float* optional(Optional which) const {
    return place(which) < 0 ? nullptr : in(static_cast<std::size_t>(place(which))).data;
  }
  bool has_ended(std::int64_t time, std::int64_t image) const {
    const float* lengths = optional(kLengths);
    return lengths && static_cast<float>(time) >= lengths[image];
  }
  // An image at a time step among those of its direction, and of all where each direction keeps its own.
  std::int64_t row(const Moment& at, std::int64_t image) const {
    return ((trains_ ? at.direction * steps_ : 0) + at.time) * batch_ + image;
  }
  float* gates(const Moment& at, std::int64_t image = 0) { return gate_values_.data() + row(at, image) * width(); }
  float* kept(const Moment& at, std::int64_t image = 0) {
    return kept_.data() + (trains_ ? row(at, image) : image) * hidden_;
  }
  // Its place in Y or Y's gradient.
  float* y(float* all, const Moment& at, std::int64_t image) const {
    return all + ((at.time * directions_ + at.direction) * batch_ + image) * hidden_;
  }
  CellRow cell_row(const Moment& at, std::int64_t image, float* h, float* c);
  // f(image) for those whose sequence goes on, on several threads where that pays; the others by `ended`.
  template <class F, class G>
  void each_image(const Context& context, std::int64_t time, F&& f, G&& ended) const;

  void pack(const Context& context);
  void input_sums(const Context& context, std::int64_t direction);
  void step(const Context& context, const Moment& at, float* h, float* c);

  // Of the gradients, in training.
  struct Backward {
    // T×B×H: h and (LSTM) c before each time step of a direction.
    Buffer h_before, c_before;
    Buffer x;                // T×B×I, where sequences may end early
    Buffer dh, dc, product;  // B×H
    PackedMatrix recurrence, candidate, weights, inputs, states;
  };
  void prepare_backward();
  void gather_states(const Context& context, std::int64_t direction);
  void step_back(const Context& context, const Moment& at);
  void weight_gradients(const Context& context, std::int64_t direction, const std::vector<float*>& to);
  const float* without_padding(const Context& context);
  void bias_gradients(const Context& context, std::int64_t direction, float* to);
  void peephole_gradients(const Context& context, std::int64_t direction, float* to);

  std::int64_t steps_ = 0, batch_ = 0, size_ = 0, hidden_ = 0, directions_ = 0, gates_ = 0;
  bool is_packed_ = false, trains_ = false;
  std::vector<std::unique_ptr<RecurrentCell>> cells_;
  std::vector<PackedMatrix> weights_, recurrences_, candidates_;  // by direction
  Buffer gate_values_;                                            // T×B×GH
  Buffer sums_;                                                   // the same, where cells keep them
  Buffer kept_;                                                   // T×B×H in training, else B×H
  Backward back_;
};

// Many images or cells are worth several threads.
template <class F, class G>
void Recurrent::each_image(const Context& context, std::int64_t time, F&& f, G&& ended) const {
  const auto job = [&](std::int64_t image, int thread) { has_ended(time, image) ? ended(image) : f(image, thread); };
  constexpr std::int64_t kShared = 1 << 12;  // gates from which threads pay
  if (batch_ * width() < kShared) {
    for (std::int64_t image = 0; image < batch_; ++image) job(image, 0);
  } else {
    context.parallel(batch_, job);
  }
}

}  // namespace polyadic

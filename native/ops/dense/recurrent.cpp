// LSTM, GRU and simple recurrent layers as ONNX defines them: the inputs' products for all time steps at once, then one
// small product a step.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../core/status.h"
#include "dense.h"
#include "packed_matrix.h"

namespace polyadic {
namespace {

struct CellActivation {
  std::string name;
  float alpha, beta;

  float operator()(float x) const {
    if (name == "Sigmoid") return 1.0f / (1.0f + std::exp(-x));
    if (name == "Tanh") return std::tanh(x);
    if (name == "Relu") return std::max(x, 0.0f);
    if (name == "Affine") return alpha * x + beta;
    if (name == "LeakyRelu") return x < 0 ? alpha * x : x;
    if (name == "ThresholdedRelu") return x > alpha ? x : 0.0f;
    if (name == "ScaledTanh") return alpha * std::tanh(beta * x);
    if (name == "HardSigmoid") return std::min(std::max(alpha * x + beta, 0.0f), 1.0f);
    if (name == "Elu") return x < 0 ? alpha * std::expm1(x) : x;
    if (name == "Softsign") return x / (1.0f + std::abs(x));
    return std::log1p(std::exp(x));  // Softplus
  }

  bool known() const {
    static const char* const kNames[] = {"Sigmoid",         "Tanh",       "Relu",        "Affine", "LeakyRelu",
                                         "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",    "Softsign",
                                         "Softplus"};
    return std::any_of(std::begin(kNames), std::end(kNames), [&](const char* other) { return name == other; });
  }

  void apply(float* x, std::int64_t count) const {
    if (name == "Sigmoid") {
      for (std::int64_t i = 0; i < count; ++i) x[i] = 1.0f / (1.0f + std::exp(-x[i]));
    } else if (name == "Tanh") {
      for (std::int64_t i = 0; i < count; ++i) x[i] = std::tanh(x[i]);
    } else {
      for (std::int64_t i = 0; i < count; ++i) x[i] = (*this)(x[i]);
    }
  }
};

// function: lstm, gru, rnn. sizes: steps T, batch B, input I, hidden H, directions D, 1 where the first direction is
// backwards. Inputs: X T×B×I, W D×GH×I, R D×GH×H, and those that tables[0] places (−1: none): bias D×2GH, lengths B,
// initial h and c D×B×H, peepholes D×3H. names: activations, direction by direction. numbers: clip (0: none), then
// alpha and beta of each activation. flags: lstm: forget = 1 − input; gru: linear before reset.
// Output: Y T×D×B×H, then the last h and c, D×B×H each.
class Recurrent : public DenseStep {
 public:
  Recurrent(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(6);
    expect_inputs(3);
    steps_ = spec_.sizes[0];
    batch_ = spec_.sizes[1];
    size_ = spec_.sizes[2];
    hidden_ = spec_.sizes[3];
    directions_ = spec_.sizes[4];
    is_lstm_ = spec_.function == "lstm";
    is_gru_ = spec_.function == "gru";
    gates_ = is_lstm_ ? 4 : is_gru_ ? 3 : 1;
    const std::int64_t width = product({gates_, hidden_}), state = product({directions_, batch_, hidden_});
    expect_count(in(0), product({steps_, batch_, size_}), "recurrent: X");
    expect_count(in(1), product({directions_, width, size_}), "recurrent: W");
    expect_count(in(2), product({directions_, width, hidden_}), "recurrent: R");
    expect_count(out_, product({steps_ + 2, state}), "recurrent: Y");
    if (spec_.tables.size() != 1 || spec_.tables[0].size() != 5) throw Error(ErrorCode::argument, "recurrent: inputs");
    const std::int64_t counts[] = {directions_ * 2 * width, batch_, state, state, directions_ * 3 * hidden_};
    for (std::size_t i = 0; i < 5; ++i) {
      const std::int64_t index = spec_.tables[0][i];
      if (index >= static_cast<std::int64_t>(inputs_.size())) throw Error(ErrorCode::argument, "recurrent: inputs");
      if (index >= 0) expect_count(in(static_cast<std::size_t>(index)), counts[i], "recurrent");
    }
    const std::size_t functions = static_cast<std::size_t>(directions_) * (is_lstm_ ? 3 : is_gru_ ? 2 : 1);
    if (spec_.names.size() != functions || spec_.numbers.size() != 1 + 2 * functions)
      throw Error(ErrorCode::argument, "recurrent: activations");
    for (std::size_t i = 0; i < functions; ++i) {
      activations_.push_back({spec_.names[i], spec_.numbers[1 + 2 * i], spec_.numbers[2 + 2 * i]});
      if (!activations_.back().known()) throw Error(ErrorCode::argument, "recurrent: unknown activation");
    }
    for (std::int64_t d = 0; d < directions_; ++d) {
      weights_.emplace_back(size_, width);
      recurrences_.emplace_back(hidden_, split() ? 2 * hidden_ : width);
      if (split()) candidates_.emplace_back(hidden_, hidden_);
    }
    gates_buffer_ = Buffer(static_cast<std::size_t>(product({steps_, batch_, width})));
    work_ = Buffer(static_cast<std::size_t>(product({batch_, width})));
  }

  void forward(const Context& context) override {
    if (!is_packed_ || !in(1).constant || !in(2).constant) pack();
    const std::int64_t state = directions_ * batch_ * hidden_;
    std::fill(out_.data, out_.data + count(out_), 0.0f);
    for (std::int64_t d = 0; d < directions_; ++d) {
      input_products(context, d);
      float* h = out_.data + steps_ * state + d * batch_ * hidden_;
      float* c = h + state;
      if (const float* start = optional(2)) std::copy_n(start + d * batch_ * hidden_, batch_ * hidden_, h);
      if (const float* start = optional(3)) std::copy_n(start + d * batch_ * hidden_, batch_ * hidden_, c);
      const bool backwards = d == 1 || spec_.sizes[5] != 0;
      for (std::int64_t k = 0; k < steps_; ++k) {
        if (context.stopping()) return;
        step(context, d, backwards ? steps_ - 1 - k : k, h, c);
      }
    }
  }

  std::string kernel() const override { return spec_.function; }
  std::size_t weight_bytes() const override {
    std::size_t bytes = (gates_buffer_.size() + work_.size()) * sizeof(float);
    for (const auto* list : {&weights_, &recurrences_, &candidates_}) {
      for (const PackedMatrix& matrix : *list) bytes += matrix.bytes();
    }
    return bytes;
  }

 private:
  // A GRU whose reset comes before the product needs a second one for the candidate.
  bool split() const { return is_gru_ && !spec_.flags[0]; }
  const float* optional(std::size_t which) const {
    const std::int64_t index = spec_.tables[0][which];
    return index < 0 ? nullptr : in(static_cast<std::size_t>(index)).data;
  }

  void pack() {
    const std::int64_t width = gates_ * hidden_;
    const auto pack_all = [](PackedMatrix& matrix, const float* from, std::int64_t inner) {
      for (std::int64_t panel = 0; panel < matrix.panels(); ++panel) matrix.pack(panel, from, 1, inner);
    };
    for (std::int64_t d = 0; d < directions_; ++d) {
      const std::size_t at = static_cast<std::size_t>(d);
      pack_all(weights_[at], in(1).data + d * width * size_, size_);
      pack_all(recurrences_[at], in(2).data + d * width * hidden_, hidden_);
      if (split()) pack_all(candidates_[at], in(2).data + (d * width + 2 * hidden_) * hidden_, hidden_);
    }
    is_packed_ = true;
  }

  // gates = X·Wᵀ + the bias that does not wait for the recurrence.
  void input_products(const Context& context, std::int64_t d) {
    const std::int64_t width = gates_ * hidden_, rows = steps_ * batch_;
    const PackedMatrix& weights = weights_[static_cast<std::size_t>(d)];
    const std::int64_t bands = (rows + PackedMatrix::kRows - 1) / PackedMatrix::kRows;
    context.parallel(weights.panels() * bands, [&](std::int64_t job, int) {
      const std::int64_t first = job % bands * PackedMatrix::kRows;
      weights.multiply(job / bands, in(0).data + first * size_, size_, 1,
                       std::min<std::int64_t>(PackedMatrix::kRows, rows - first), gates_buffer_.data() + first * width,
                       width, false);
    });
    const float* bias = optional(0);
    if (!bias) return;
    bias += d * 2 * width;
    const std::int64_t both = is_gru_ && spec_.flags[0] ? 2 * hidden_ : width;
    context.parallel(rows, [&](std::int64_t row, int) {
      float* to = gates_buffer_.data() + row * width;
      for (std::int64_t i = 0; i < width; ++i) to[i] += bias[i] + (i < both ? bias[width + i] : 0.0f);
    });
  }

  // C (B×columns) = or += h·matrix
  void multiply(const Context& context, const PackedMatrix& matrix, const float* h, float* c, std::int64_t c_row,
                bool accumulate) const {
    const std::int64_t bands = (batch_ + PackedMatrix::kRows - 1) / PackedMatrix::kRows;
    const auto job = [&](std::int64_t index) {
      const std::int64_t first = index % bands * PackedMatrix::kRows;
      matrix.multiply(index / bands, h + first * hidden_, hidden_, 1,
                      std::min<std::int64_t>(PackedMatrix::kRows, batch_ - first), c + first * c_row, c_row,
                      accumulate);
    };
    constexpr std::size_t kShared = 1 << 20;  // bytes of a matrix from which threads pay
    const std::int64_t jobs = matrix.panels() * bands;
    if (matrix.bytes() < kShared) {
      for (std::int64_t i = 0; i < jobs; ++i) job(i);
    } else {
      context.parallel(jobs, [&](std::int64_t i, int) { job(i); });
    }
  }

  void clip(float* x, std::int64_t count) const {
    const float limit = spec_.numbers[0];
    for (std::int64_t i = 0; limit > 0 && i < count; ++i) x[i] = std::min(std::max(x[i], -limit), limit);
  }

  void step(const Context& context, std::int64_t d, std::int64_t t, float* h, float* c) {
    const std::int64_t width = gates_ * hidden_;
    float* gates = gates_buffer_.data() + t * batch_ * width;
    const PackedMatrix& recurrence = recurrences_[static_cast<std::size_t>(d)];
    if (is_gru_) {
      float* work = work_.data();
      if (spec_.flags[0]) {  // work = h·Rᵀ of all gates; the candidate's is multiplied by reset later
        multiply(context, recurrence, h, work, width, false);
      } else {
        multiply(context, recurrence, h, gates, width, true);
      }
    } else {
      multiply(context, recurrence, h, gates, width, true);
    }
    if (is_gru_) reset(context, d, gates, h);
    const float* lengths = optional(1);
    for (std::int64_t b = 0; b < batch_; ++b) {
      if (lengths && t >= static_cast<std::int64_t>(lengths[b])) continue;
      float* own_h = h + b * hidden_;
      float* own_gates = gates + b * width;
      if (is_lstm_) {
        lstm(d, own_gates, own_h, c + b * hidden_);
      } else if (is_gru_) {
        gru(d, own_gates, own_h);
      } else {
        clip(own_gates, hidden_);
        activations_[static_cast<std::size_t>(d)].apply(own_gates, hidden_);
        std::copy_n(own_gates, hidden_, own_h);
      }
      std::copy_n(own_h, hidden_, out_.data + ((t * directions_ + d) * batch_ + b) * hidden_);
    }
  }

  // Update and reset gates, and the candidate before its activation.
  void reset(const Context& context, std::int64_t d, float* gates, const float* h) {
    const std::int64_t width = gates_ * hidden_;
    const CellActivation& f = activations_[static_cast<std::size_t>(2 * d)];
    const float* bias = optional(0);
    for (std::int64_t b = 0; b < batch_; ++b) {
      float* own = gates + b * width;
      float* work = work_.data() + b * width;
      if (spec_.flags[0]) {
        for (std::int64_t i = 0; i < 2 * hidden_; ++i) own[i] += work[i];
      }
      clip(own, 2 * hidden_);
      f.apply(own, 2 * hidden_);
      if (!spec_.flags[0]) {
        for (std::int64_t i = 0; i < hidden_; ++i)
          work_.data()[b * hidden_ + i] = own[hidden_ + i] * h[b * hidden_ + i];
        continue;
      }
      const float* own_bias = bias ? bias + d * 2 * width + width + 2 * hidden_ : nullptr;
      for (std::int64_t i = 0; i < hidden_; ++i) {
        own[2 * hidden_ + i] += own[hidden_ + i] * (work[2 * hidden_ + i] + (own_bias ? own_bias[i] : 0.0f));
      }
    }
    if (!spec_.flags[0])
      multiply(context, candidates_[static_cast<std::size_t>(d)], work_.data(), gates + 2 * hidden_, width, true);
  }

  void gru(std::int64_t d, float* gates, float* h) const {
    float* candidate = gates + 2 * hidden_;
    clip(candidate, hidden_);
    activations_[static_cast<std::size_t>(2 * d + 1)].apply(candidate, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) h[i] = (1 - gates[i]) * candidate[i] + gates[i] * h[i];
  }

  // Gates in the order input, output, forget, cell.
  void lstm(std::int64_t d, float* gates, float* h, float* c) const {
    const CellActivation* functions = &activations_[static_cast<std::size_t>(3 * d)];
    const float* peepholes = optional(4);
    float *input = gates, *output = gates + hidden_, *forget = gates + 2 * hidden_, *cell = gates + 3 * hidden_;
    if (peepholes) {
      peepholes += d * 3 * hidden_;
      for (std::int64_t i = 0; i < hidden_; ++i) {
        input[i] += peepholes[i] * c[i];
        forget[i] += peepholes[2 * hidden_ + i] * c[i];
      }
    }
    clip(input, hidden_);
    clip(forget, 2 * hidden_);
    functions[0].apply(input, hidden_);
    functions[0].apply(forget, hidden_);
    functions[1].apply(cell, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) {
      const float keep = spec_.flags[0] ? 1 - input[i] : forget[i];
      c[i] = keep * c[i] + input[i] * cell[i];
      if (peepholes) output[i] += peepholes[hidden_ + i] * c[i];
    }
    clip(output, hidden_);
    functions[0].apply(output, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) h[i] = c[i];
    functions[2].apply(h, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) h[i] *= output[i];
  }

  std::int64_t steps_ = 0, batch_ = 0, size_ = 0, hidden_ = 0, directions_ = 0, gates_ = 0;
  bool is_lstm_ = false, is_gru_ = false, is_packed_ = false;
  std::vector<CellActivation> activations_;
  std::vector<PackedMatrix> weights_, recurrences_, candidates_;
  Buffer gates_buffer_, work_;
};

}  // namespace

std::unique_ptr<Step> make_recurrent(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Recurrent>(spec, resources);
}

}  // namespace polyadic

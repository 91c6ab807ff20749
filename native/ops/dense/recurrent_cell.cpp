#include "recurrent_cell.h"

#include <algorithm>
#include <cmath>

#include "../activation.h"

namespace polyadic {
namespace {

// h = f(sum)
class SimpleCell : public RecurrentCell {
 public:
  using RecurrentCell::RecurrentCell;

  void finish(const CellRow& row) const override {
    apply(0, row, 0);
    std::copy_n(row.gates, hidden_, row.h);
  }

  void finish_back(const CellRow& row) const override {
    apply_back(0, row, 0, row.h);
    std::fill_n(row.h, hidden_, 0.0f);
  }
};

// Gates: update z, reset r, candidate n. h = (1 − z)·n + z·h. The reset multiplies h before the candidate's product, or
// that product.
class GruCell : public RecurrentCell {
 public:
  using RecurrentCell::RecurrentCell;

  void reset(const CellRow& row) const override {
    apply(0, row, 0, 2);
    const float* reset = row.gates + hidden_;
    float* candidate = row.gates + 2 * hidden_;
    if (!flag_) {
      for (std::int64_t i = 0; i < hidden_; ++i) row.kept[i] = reset[i] * row.h[i];
      return;
    }
    for (std::int64_t i = 0; i < hidden_; ++i) {
      if (row.extra) row.kept[i] += row.extra[i];
      candidate[i] += reset[i] * row.kept[i];
    }
  }

  void finish(const CellRow& row) const override {
    apply(1, row, 2);
    const float *update = row.gates, *candidate = row.gates + 2 * hidden_;
    for (std::int64_t i = 0; i < hidden_; ++i) row.h[i] = (1 - update[i]) * candidate[i] + update[i] * row.h[i];
  }

  void finish_back(const CellRow& row) const override {
    float *update = row.gates, *reset = row.gates + hidden_, *candidate = row.gates + 2 * hidden_;
    float *d_update = row.scratch, *d_candidate = row.scratch + hidden_, *d_reset = row.scratch + 2 * hidden_;
    for (std::int64_t i = 0; i < hidden_; ++i) {
      d_update[i] = row.h[i] * (row.h_before[i] - candidate[i]);
      d_candidate[i] = row.h[i] * (1 - update[i]);
      row.h[i] *= update[i];
    }
    apply_back(0, row, 0, d_update);
    apply_back(1, row, 2, d_candidate);
    if (!flag_) return;
    for (std::int64_t i = 0; i < hidden_; ++i) {
      d_reset[i] = candidate[i] * row.kept[i];
      row.kept[i] = candidate[i] * reset[i];
    }
    apply_back(0, row, 1, d_reset);
  }

  void reset_back(const CellRow& row) const override {
    const float* reset = row.gates + hidden_;
    for (std::int64_t i = 0; i < hidden_; ++i) {
      row.scratch[i] = row.product[i] * row.h_before[i];
      row.h[i] += row.product[i] * reset[i];
    }
    apply_back(0, row, 1, row.scratch);
  }
};

// Gates: input i, output o, forget f, cell g. c = f·c + i·g, h = o·tanh(c); peepholes let i and f see c before the
// step, o behind it.
class LstmCell : public RecurrentCell {
 public:
  using RecurrentCell::RecurrentCell;

  void finish(const CellRow& row) const override {
    float *input = row.gates, *output = input + hidden_, *forget = output + hidden_, *cell = forget + hidden_;
    if (row.extra) {
      for (std::int64_t i = 0; i < hidden_; ++i) {
        input[i] += row.extra[i] * row.c[i];
        forget[i] += row.extra[2 * hidden_ + i] * row.c[i];
      }
    }
    apply(0, row, 0);
    apply(0, row, 2);
    apply(1, row, 3);
    for (std::int64_t i = 0; i < hidden_; ++i) {
      const float keep = flag_ ? 1 - input[i] : forget[i];
      row.c[i] = keep * row.c[i] + input[i] * cell[i];
      if (row.extra) output[i] += row.extra[hidden_ + i] * row.c[i];
    }
    if (row.kept) std::copy_n(row.c, hidden_, row.kept);
    apply(0, row, 1);
    apply_activation(functions_[2], row.c, row.h, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) row.h[i] *= output[i];
  }

  void finish_back(const CellRow& row) const override {
    float *input = row.gates, *output = input + hidden_, *forget = output + hidden_, *cell = forget + hidden_;
    float *first = row.scratch, *second = first + hidden_, *third = second + hidden_;
    apply_activation(functions_[2], row.kept, first, hidden_);
    for (std::int64_t i = 0; i < hidden_; ++i) {
      second[i] = row.h[i] * first[i];  // of o
      third[i] = row.h[i] * output[i];  // of tanh(c)
      row.h[i] = 0;
    }
    activation_gradient(functions_[2], row.kept, first, third, row.c, hidden_, true);
    apply_back(0, row, 1, second);
    for (std::int64_t i = 0; i < hidden_; ++i) {
      if (row.extra) row.c[i] += row.extra[hidden_ + i] * output[i];
      const float kept = row.c[i] * row.c_before[i];
      first[i] = row.c[i] * cell[i] - (flag_ ? kept : 0.0f);
      second[i] = flag_ ? 0.0f : kept;
      third[i] = row.c[i] * input[i];
      row.c[i] *= flag_ ? 1 - input[i] : forget[i];
    }
    apply_back(0, row, 0, first);
    apply_back(0, row, 2, second);
    apply_back(1, row, 3, third);
    if (!row.extra) return;
    for (std::int64_t i = 0; i < hidden_; ++i)
      row.c[i] += row.extra[i] * input[i] + row.extra[2 * hidden_ + i] * forget[i];
  }
};

}  // namespace

bool RecurrentCell::keeps_sums() const {
  using Kind = ActivationSpec::Kind;
  // The third one, an LSTM's, is of its cells.
  const auto last = functions_.begin() + std::min<std::ptrdiff_t>(2, functions_.end() - functions_.begin());
  return clip_ > 0 || std::any_of(functions_.begin(), last, [](const ActivationSpec& function) {
           return function.kind != Kind::sigmoid && function.kind != Kind::tanh;
         });
}

void RecurrentCell::apply(std::size_t function, const CellRow& row, std::int64_t first, std::int64_t gates) const {
  float* x = row.gates + first * hidden_;
  const std::int64_t count = gates * hidden_;
  for (std::int64_t i = 0; clip_ > 0 && i < count; ++i) x[i] = std::min(std::max(x[i], -clip_), clip_);
  if (row.sums) std::copy_n(x, count, row.sums + first * hidden_);
  apply_activation(functions_[function], x, x, count);
}

void RecurrentCell::apply_back(std::size_t function, const CellRow& row, std::int64_t gate, const float* dy) const {
  float* y = row.gates + gate * hidden_;
  const float* x = row.sums ? row.sums + gate * hidden_ : y;
  activation_gradient(functions_[function], x, y, dy, y, hidden_, false);
  for (std::int64_t i = 0; clip_ > 0 && i < hidden_; ++i) {
    if (std::abs(x[i]) >= clip_) y[i] = 0;
  }
}

std::unique_ptr<RecurrentCell> make_cell(const std::string& kind, std::vector<ActivationSpec> functions,
                                         std::int64_t hidden, float clip, bool flag) {
  if (kind == "lstm") return std::make_unique<LstmCell>(std::move(functions), hidden, clip, flag);
  if (kind == "gru") return std::make_unique<GruCell>(std::move(functions), hidden, clip, flag);
  if (kind == "rnn") return std::make_unique<SimpleCell>(std::move(functions), hidden, clip, flag);
  return nullptr;
}

}  // namespace polyadic

// What LSTM, GRU and simple recurrent layers do with the sums of one image at one time step, and the way back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../../plan/plan_spec.h"

namespace polyadic {

// One image at one time step, H cells; G gates of H each.
struct CellRow {
  float* gates;           // forward: from sums to values; backward: from values to the gradients of the sums
  float* sums = nullptr;  // G×H: the sums once clipped, where the way back needs them
  float* kept = nullptr;  // H. LSTM, in training: the new c. GRU: what the candidate's own product reads or gives
  float* h;               // forward: the state before, then after; backward: their gradients, after then before
  float* c;               // the same, LSTM alone
  const float* h_before;  // backward
  const float* c_before;  // backward, LSTM
  const float* extra = nullptr;    // LSTM: peepholes, 3×H. GRU that resets behind the product: the candidate's bias, H
  const float* product = nullptr;  // backward, GRU that resets before the product: the gradient of kept
  float* scratch = nullptr;        // backward: 3×H
};

class RecurrentCell {
 public:
  RecurrentCell(std::vector<ActivationSpec> functions, std::int64_t hidden, float clip, bool flag)
      : functions_(std::move(functions)), hidden_(hidden), clip_(clip), flag_(flag) {}
  virtual ~RecurrentCell() = default;

  // GRU: the update and reset gates, and what the candidate's product reads or has given. Before finish().
  virtual void reset(const CellRow&) const {}
  virtual void finish(const CellRow& row) const = 0;
  virtual void finish_back(const CellRow& row) const = 0;
  virtual void reset_back(const CellRow&) const {}

  // Whether slopes do not follow from the values alone: then rows have sums.
  bool keeps_sums() const;

 protected:
  // Gates from `first` on become values of an activation.
  void apply(std::size_t function, const CellRow& row, std::int64_t first, std::int64_t gates = 1) const;
  // The way back: with dy its gradient, a gate becomes that of its sum.
  void apply_back(std::size_t function, const CellRow& row, std::int64_t gate, const float* dy) const;

  std::vector<ActivationSpec> functions_;
  std::int64_t hidden_;
  float clip_;
  bool flag_;
};

// kind: lstm, gru, rnn. functions: one direction's. flag: lstm: forget = 1 − input; gru: resets behind the product.
// Null where there is no such kind.
std::unique_ptr<RecurrentCell> make_cell(const std::string& kind, std::vector<ActivationSpec> functions,
                                         std::int64_t hidden, float clip, bool flag);

}  // namespace polyadic

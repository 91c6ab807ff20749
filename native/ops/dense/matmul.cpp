// Batched matrix products with broadcasting over the batches.
#include <algorithm>

#include "../../core/status.h"
#include "dense.h"
#include "nest.h"
#include "packed_matrix.h"

namespace polyadic {
namespace {

// dims: batches. sizes: rows, columns, inner. views of A and B: strides of the batches, then of rows and columns.
// Output: batches×rows×columns.
class MatMul : public DenseStep {
 public:
  MatMul(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(3);
    expect_inputs(2);
    if (spec_.views.size() != 2) throw Error(ErrorCode::argument, "matmul: two views are needed");
    rows_ = spec_.sizes[0];
    columns_ = spec_.sizes[1];
    inner_ = spec_.sizes[2];
    batches_ = product(spec_.dims);
    Dims a = spec_.dims, b = spec_.dims;
    a.insert(a.end(), {rows_, inner_});
    b.insert(b.end(), {inner_, columns_});
    check_reach(in(0), a, spec_.views[0], "matmul");
    check_reach(in(1), b, spec_.views[1], "matmul");
    expect_count(out_, batches_ * rows_ * columns_, "matmul");
    const Dims& strides = spec_.views[1].strides;
    shared_ = std::all_of(strides.begin(), strides.end() - 2, [](std::int64_t stride) { return stride == 0; });
    for (std::int64_t i = 0; i < (shared_ ? 1 : batches_); ++i) packed_.emplace_back(inner_, columns_);
  }

  void forward(const Context& context) override {
    if (packed_.empty() || rows_ == 0 || columns_ == 0) return;
    const DenseView& a = spec_.views[0];
    const DenseView& b = spec_.views[1];
    const std::size_t rank = spec_.dims.size();
    const std::int64_t panels = packed_[0].panels();
    if (!in(1).constant || !is_packed_) {
      context.parallel(static_cast<std::int64_t>(packed_.size()) * panels, [&](std::int64_t job, int) {
        packed_[static_cast<std::size_t>(job / panels)].pack(job % panels, in(1).data + batch_offset(b, job / panels),
                                                             b.strides[rank], b.strides[rank + 1]);
      });
      is_packed_ = !context.stopping();  // else indices may have been dropped
    }
    const std::int64_t bands = (rows_ + PackedMatrix::kRows - 1) / PackedMatrix::kRows;
    context.parallel(batches_ * panels * bands, [&](std::int64_t job, int) {
      const std::int64_t batch = job / (panels * bands), panel = job / bands % panels;
      const std::int64_t first = job % bands * PackedMatrix::kRows;
      packed_[shared_ ? 0 : static_cast<std::size_t>(batch)].multiply(
          panel, in(0).data + batch_offset(a, batch) + first * a.strides[rank], a.strides[rank], a.strides[rank + 1],
          std::min<std::int64_t>(PackedMatrix::kRows, rows_ - first), out_.data + (batch * rows_ + first) * columns_,
          columns_, false);
    });
  }

  std::size_t weight_bytes() const override {
    std::size_t bytes = 0;
    for (const PackedMatrix& matrix : packed_) bytes += matrix.bytes();
    return bytes;
  }

 private:
  std::int64_t batch_offset(const DenseView& view, std::int64_t batch) const {
    std::int64_t offset = view.offset;
    for (std::size_t axis = spec_.dims.size(); axis-- > 0;) {
      offset += batch % spec_.dims[axis] * view.strides[axis];
      batch /= spec_.dims[axis];
    }
    return offset;
  }

  std::int64_t rows_ = 0, columns_ = 0, inner_ = 0, batches_ = 0;
  bool shared_ = false, is_packed_ = false;
  std::vector<PackedMatrix> packed_;
};

}  // namespace

std::unique_ptr<Step> make_matmul(const StepSpec& spec, StepResources resources) {
  return std::make_unique<MatMul>(spec, resources);
}

}  // namespace polyadic

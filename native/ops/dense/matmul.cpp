// Batched matrix products with broadcasting over the batches.
#include <algorithm>

#include "../../core/status.h"
#include "dense.h"
#include "nest.h"
#include "packed_matrix.h"
#include "view_sum.h"

namespace polyadic {
namespace {

struct Sizes {
  std::int64_t rows, columns, inner;
};

// C = A·B (+ C) for each batch. Views of A and B: strides of the batches, then of rows and columns; C is
// batches×rows×columns in a row.
class Product {
 public:
  Product() = default;
  Product(Dims batches, const Sizes& sizes, DenseView a, DenseView b)
      : dims_(std::move(batches)), sizes_(sizes), a_(std::move(a)), b_(std::move(b)), batches_(product(dims_)) {
    const Dims& strides = b_.strides;
    shared_ = std::all_of(strides.begin(), strides.end() - 2, [](std::int64_t stride) { return stride == 0; });
    for (std::int64_t i = 0; i < (shared_ ? 1 : batches_); ++i) packed_.emplace_back(sizes_.inner, sizes_.columns);
  }

  std::int64_t count() const { return batches_ * sizes_.rows * sizes_.columns; }

  void pack(const Context& context, const float* b) {
    if (packed_.empty()) return;
    const std::size_t rank = dims_.size();
    const std::int64_t panels = packed_[0].panels();
    context.parallel(static_cast<std::int64_t>(packed_.size()) * panels, [&](std::int64_t job, int) {
      packed_[static_cast<std::size_t>(job / panels)].pack(job % panels, b + batch_offset(b_, job / panels),
                                                           b_.strides[rank], b_.strides[rank + 1]);
    });
  }

  void run(const Context& context, const float* a, float* c, bool add) const {
    const auto [rows, columns, inner] = sizes_;
    if (packed_.empty() || rows == 0 || columns == 0) return;
    const std::size_t rank = dims_.size();
    const std::int64_t panels = packed_[0].panels(), bands = (rows + PackedMatrix::kRows - 1) / PackedMatrix::kRows;
    context.parallel(batches_ * panels * bands, [&, rows = rows, columns = columns](std::int64_t job, int) {
      const std::int64_t batch = job / (panels * bands), panel = job / bands % panels;
      const std::int64_t first = job % bands * PackedMatrix::kRows;
      packed_[shared_ ? 0 : static_cast<std::size_t>(batch)].multiply(
          panel, a + batch_offset(a_, batch) + first * a_.strides[rank], a_.strides[rank], a_.strides[rank + 1],
          std::min<std::int64_t>(PackedMatrix::kRows, rows - first), c + (batch * rows + first) * columns, columns,
          add);
    });
  }

  std::size_t bytes() const {
    std::size_t bytes = 0;
    for (const PackedMatrix& matrix : packed_) bytes += matrix.bytes();
    return bytes;
  }

 private:
  std::int64_t batch_offset(const DenseView& view, std::int64_t batch) const {
    std::int64_t offset = view.offset;
    for (std::size_t axis = dims_.size(); axis-- > 0;) {
      offset += batch % dims_[axis] * view.strides[axis];
      batch /= dims_[axis];
    }
    return offset;
  }

  Dims dims_;
  Sizes sizes_{};
  DenseView a_, b_;
  std::int64_t batches_ = 0;
  bool shared_ = false;
  std::vector<PackedMatrix> packed_;
};

// Rows become columns and columns rows.
DenseView transposed(DenseView view) {
  std::iter_swap(view.strides.end() - 1, view.strides.end() - 2);
  return view;
}

// dims: batches. sizes: rows, columns, inner. Output: batches×rows×columns.
class MatMul : public DenseStep {
 public:
  MatMul(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    expect_sizes(3);
    expect_inputs(2);
    if (spec_.views.size() != 2) throw Error(ErrorCode::argument, "matmul: two views are needed");
    const Sizes sizes{spec_.sizes[0], spec_.sizes[1], spec_.sizes[2]};
    Dims a = spec_.dims, b = spec_.dims;
    a.insert(a.end(), {sizes.rows, sizes.inner});
    b.insert(b.end(), {sizes.inner, sizes.columns});
    check_reach(in(0), a, spec_.views[0], "matmul");
    check_reach(in(1), b, spec_.views[1], "matmul");
    expect_count(out_, product(spec_.dims) * sizes.rows * sizes.columns, "matmul");
    product_ = Product(spec_.dims, sizes, spec_.views[0], spec_.views[1]);
    if (in(0).needs_grad || in(1).needs_grad) prepare_backward(sizes);
  }

  void forward(const Context& context) override {
    if (!in(1).constant || !is_packed_) {
      product_.pack(context, in(1).data);
      is_packed_ = !context.stopping();  // else indices may have been dropped
    }
    product_.run(context, in(0).data, out_.data, false);
  }

  // dA = dC·Bᵀ, dB = Aᵀ·dC
  void backward(const Context& context) override {
    leave(context, 0, out_.grad, in(1).data);
    leave(context, 1, in(0).data, out_.grad);
  }

  std::size_t weight_bytes() const override {
    return product_.bytes() + back_[0].product.bytes() + back_[1].product.bytes();
  }

 private:
  // A product that is the gradient of an operand, and where its elements belong: straight there where they lie in a
  // row, else by way of `result`.
  struct Back {
    Product product;
    bool in_place = false;
    std::int64_t offset = 0;
    Buffer result;
    ViewSum sum;
  };

  void leave(const Context& context, std::size_t input, const float* left, const float* right) {
    Back& back = back_[input];
    const bool whole = back.in_place && back.product.count() == count(in(input));
    float* to = whole ? whole_gradient(input) : gradient(context, input);
    if (!to) return;
    back.product.pack(context, right);
    if (back.in_place) return back.product.run(context, left, to + back.offset, !whole || accumulate[input]);
    back.product.run(context, left, back.result.data(), false);
    back.sum.add(context, back.result.data(), to);
  }

  void prepare_backward(Sizes sizes) {
    Dims dims = spec_.dims;
    DenseView a = spec_.views[0], b = spec_.views[1];
    join_batches(dims, sizes, a, b);
    Dims c = dims;
    c.insert(c.end(), {sizes.rows, sizes.columns});
    const DenseView whole{0, row_major(c)};
    if (in(0).needs_grad)
      back_[0] = made({dims, {sizes.rows, sizes.inner, sizes.columns}, whole, transposed(b)}, dims, sizes.rows,
                      sizes.inner, a);
    if (in(1).needs_grad)
      back_[1] = made({dims, {sizes.inner, sizes.columns, sizes.rows}, transposed(a), whole}, dims, sizes.inner,
                      sizes.columns, b);
  }

  static Back made(Product product, Dims dims, std::int64_t rows, std::int64_t columns, const DenseView& view) {
    Back back;
    dims.insert(dims.end(), {rows, columns});
    back.in_place = view.strides == row_major(dims);
    back.offset = view.offset;
    if (!back.in_place) {
      back.result = Buffer(static_cast<std::size_t>(product.count()));
      back.sum = ViewSum(dims, {0, row_major(dims)}, view);
    }
    back.product = std::move(product);
    return back;
  }

  // Batches of rows that are multiplied by the same matrix are more rows of one product: the matrix' gradient is then
  // summed within the product, not over batches of them.
  static void join_batches(Dims& dims, Sizes& sizes, DenseView& a, DenseView& b) {
    while (!dims.empty()) {
      const std::size_t last = dims.size() - 1;
      const bool follows = sizes.rows == 1 || a.strides[last] == sizes.rows * a.strides[last + 1];
      if (dims[last] != 1 && (b.strides[last] != 0 || !follows)) return;
      if (dims[last] != 1 && sizes.rows == 1) a.strides[last + 1] = a.strides[last];
      sizes.rows *= dims[last];
      dims.pop_back();
      a.strides.erase(a.strides.begin() + static_cast<std::ptrdiff_t>(last));
      b.strides.erase(b.strides.begin() + static_cast<std::ptrdiff_t>(last));
    }
  }

  bool is_packed_ = false;
  Product product_;
  Back back_[2];
};

}  // namespace

std::unique_ptr<Step> make_matmul(const StepSpec& spec, StepResources resources) {
  return std::make_unique<MatMul>(spec, resources);
}

}  // namespace polyadic

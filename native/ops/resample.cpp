// Blocked values whose rows and columns, or channels, are taken from others: resizing a map, a part of the channels.
#include <algorithm>

#include "../core/status.h"
#include "step.h"

namespace polyadic {
namespace {

void check_positions(const Dims& positions, std::int64_t size, const char* what) {
  for (const std::int64_t position : positions) {
    if (position < 0 || position >= size)
      throw Error(ErrorCode::argument, std::string(what) + ": a position out of range");
  }
}

// The rows of a plane that begin at `data`, without its halo.
void clear_rows(const Layout& layout, float* data) {
  for (std::int64_t y = 0; y < layout.h; ++y) std::fill_n(data + y * layout.row(), layout.w * layout.block, 0.0f);
}

// y[row][column] = Σ w_row·w_column·x[…] over the taps of both. sizes: taps a row and a column; tables: their
// positions; numbers: weights of rows, then of columns.
class Resample : public Step {
 public:
  Resample(const StepSpec& spec, StepResources resources)
      : spec_(spec.dense),
        in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    if (in.n != out.n || in.c != out.c || in.block != out.block)
      throw Error(ErrorCode::shape, "resample: images, channels and blocks must be the same");
    if (spec_.sizes.size() != 2 || spec_.tables.size() != 2 || spec_.sizes[0] < 1 || spec_.sizes[1] < 1 ||
        static_cast<std::int64_t>(spec_.tables[0].size()) != spec_.sizes[0] * out.h ||
        static_cast<std::int64_t>(spec_.tables[1].size()) != spec_.sizes[1] * out.w ||
        spec_.numbers.size() != spec_.tables[0].size() + spec_.tables[1].size()) {
      throw Error(ErrorCode::argument, "resample: a position and a weight for each tap are needed");
    }
    check_positions(spec_.tables[0], in.h, "resample");
    check_positions(spec_.tables[1], in.w, "resample");
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    context.parallel(in.n * in.blocks(), [&](std::int64_t plane, int) {
      const float* x = in_.data + in.at(plane / in.blocks(), plane % in.blocks());
      float* y = out_.data + out.at(plane / in.blocks(), plane % in.blocks());
      for (std::int64_t row = 0; row < out.h; ++row, y += out.row()) {
        if (in.block == 8) {
          resample_row<8>(x, y, row);
        } else if (in.block == 16) {
          resample_row<16>(x, y, row);
        } else {
          resample_row<4>(x, y, row);
        }
      }
    });
  }

  // What is summed of a plane comes from that plane alone.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& in = in_.grad_layout;
    const Layout& out = out_.grad_layout;
    context.parallel(in.n * in.blocks(), [&](std::int64_t plane, int) {
      float* dx = in_.grad + in.at(plane / in.blocks(), plane % in.blocks());
      const float* dy = out_.grad + out.at(plane / in.blocks(), plane % in.blocks());
      if (!accumulate[0]) clear_rows(in, dx);
      for (std::int64_t row = 0; row < out.h; ++row) add_row(dx, dy + row * out.row(), row);
    });
  }

  std::string kernel() const override {
    return std::to_string(spec_.sizes[0]) + "x" + std::to_string(spec_.sizes[1]) + " taps";
  }

 private:
  template <int Block>
  void resample_row(const float* x, float* y, std::int64_t row) const {
    const std::int64_t rows = spec_.sizes[0], columns = spec_.sizes[1], stride = in_.layout.row();
    const std::int64_t* at_row = spec_.tables[0].data() + row * rows;
    const float* by_row = spec_.numbers.data() + row * rows;
    const float* by_column = spec_.numbers.data() + spec_.tables[0].size();
    const std::int64_t* at_column = spec_.tables[1].data();
    for (std::int64_t i = 0; i < out_.layout.w; ++i, y += Block, at_column += columns, by_column += columns) {
      float sums[Block] = {};
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) {
          const float* from = x + at_row[r] * stride + at_column[c] * Block;
          const float weight = by_row[r] * by_column[c];
          for (int lane = 0; lane < Block; ++lane) sums[lane] += weight * from[lane];
        }
      }
      for (int lane = 0; lane < Block; ++lane) y[lane] = sums[lane];
    }
  }

  void add_row(float* dx, const float* dy, std::int64_t row) const {
    const std::int64_t rows = spec_.sizes[0], columns = spec_.sizes[1];
    const std::int64_t stride = in_.grad_layout.row(), block = in_.grad_layout.block;
    const std::int64_t* at_row = spec_.tables[0].data() + row * rows;
    const float* by_row = spec_.numbers.data() + row * rows;
    const float* by_column = spec_.numbers.data() + spec_.tables[0].size();
    const std::int64_t* at_column = spec_.tables[1].data();
    for (std::int64_t i = 0; i < out_.layout.w; ++i, dy += block, at_column += columns, by_column += columns) {
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) {
          float* to = dx + at_row[r] * stride + at_column[c] * block;
          const float weight = by_row[r] * by_column[c];
          for (std::int64_t lane = 0; lane < block; ++lane) to[lane] += weight * dy[lane];
        }
      }
    }
  }

  DenseSpec spec_;
  Value& in_;
  Value& out_;
};

// Output channel c is input channel tables[0][c].
class Channels : public Step {
 public:
  Channels(const StepSpec& spec, StepResources resources)
      : in_(resources.values[static_cast<std::size_t>(spec.inputs[0])]),
        out_(resources.values[static_cast<std::size_t>(spec.output)]) {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    if (in.n != out.n || in.h != out.h || in.w != out.w || in.block != out.block)
      throw Error(ErrorCode::shape, "channels: images and maps must be the same");
    if (spec.dense.tables.size() != 1 || static_cast<std::int64_t>(spec.dense.tables[0].size()) != out.c)
      throw Error(ErrorCode::argument, "channels: a position for each channel is needed");
    table_ = spec.dense.tables[0];
    check_positions(table_, in.c, "channels");
  }

  void forward(const Context& context) override {
    const Layout& in = in_.layout;
    const Layout& out = out_.layout;
    const std::int64_t blocks = out.blocks();
    context.parallel(out.n * blocks, [&](std::int64_t plane, int) {
      const std::int64_t n = plane / blocks, block = plane % blocks, first = block * out.block;
      const std::int64_t count = std::min<std::int64_t>(out.block, out.c - first);
      const std::int64_t whole = whole_block(first, count);
      for (std::int64_t y = 0; y < out.h; ++y) {
        float* to = out_.data + out.at(n, block) + y * out.row();
        const float* from = in_.data + in.at(n) + y * in.row();
        if (whole >= 0) {
          std::copy_n(from + whole * in.plane(), out.w * out.block, to);
          continue;
        }
        for (std::int64_t lane = 0; lane < out.block; ++lane) {
          // What lies beyond the last channel is never read but by whole vectors: any channel will do.
          const std::int64_t channel = table_[static_cast<std::size_t>(first + std::min(lane, count - 1))];
          const float* x = from + in.channel(channel);
          for (std::int64_t i = 0; i < out.w; ++i) to[i * out.block + lane] = x[i * in.block];
        }
      }
    });
  }

  // A channel may be taken several times, or never.
  void backward(const Context& context) override {
    if (!in_.needs_grad) return;
    const Layout& in = in_.grad_layout;
    const Layout& out = out_.grad_layout;
    context.parallel(out.n, [&](std::int64_t n, int) {
      for (std::int64_t block = 0; !accumulate[0] && block < in.blocks(); ++block)
        clear_rows(in, in_.grad + in.at(n, block));
      for (std::int64_t c = 0; c < out.c; ++c) {
        float* dx = in_.grad + in.at(n) + in.channel(table_[static_cast<std::size_t>(c)]);
        const float* dy = out_.grad + out.at(n) + out.channel(c);
        for (std::int64_t y = 0; y < out.h; ++y) {
          for (std::int64_t x = 0; x < out.w; ++x) dx[in.pixel(y, x)] += dy[out.pixel(y, x)];
        }
      }
    });
  }

 private:
  // The input's block that output channels [first, first + count) are, or −1.
  std::int64_t whole_block(std::int64_t first, std::int64_t count) const {
    const std::int64_t start = table_[static_cast<std::size_t>(first)];
    if (start % out_.layout.block != 0) return -1;
    for (std::int64_t i = 1; i < count; ++i) {
      if (table_[static_cast<std::size_t>(first + i)] != start + i) return -1;
    }
    return start / out_.layout.block;
  }

  Value& in_;
  Value& out_;
  Dims table_;
};

}  // namespace

std::unique_ptr<Step> make_resample(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Resample>(spec, resources);
}

std::unique_ptr<Step> make_channels(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Channels>(spec, resources);
}

}  // namespace polyadic

// Moves elements: strided copies (transpose, slice, expand, tile, concat, split, constant pad) and copies by a table
// for each axis (pad by reflection, nearest neighbours).
#include <algorithm>
#include <cstring>

#include "../../core/status.h"
#include "dense.h"
#include "nest.h"
#include "view_sum.h"

namespace polyadic {
namespace {

void copy_line(const float* from, std::int64_t step, float* to, std::int64_t to_step, std::int64_t count) {
  if (step == 1 && to_step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  } else if (step == 0 && to_step == 1) {
    std::fill(to, to + count, *from);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * step];
  }
}

void fill_all(const Context& context, const Value& value, float fill) {
  constexpr std::int64_t kPart = 1 << 15;
  const std::int64_t count = value.layout.size();
  context.parallel((count + kPart - 1) / kPart, [&](std::int64_t part, int) {
    std::fill(value.data + part * kPart, value.data + std::min(count, (part + 1) * kPart), fill);
  });
}

class Copy : public DenseStep {
 public:
  Copy(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    for (const CopyPiece& piece : spec_.pieces) {
      if (piece.input >= inputs_.size()) throw Error(ErrorCode::argument, "copy: unknown input");
      check_reach(in(piece.input), piece.dims, piece.from, "copy");
      check_reach(out_, piece.dims, piece.to, "copy");
      if (product(piece.dims) == 0) continue;
      nests_.push_back(simplify(piece.dims, {piece.from, piece.to}));
      sources_.push_back(piece.input);
      sums_.push_back(in(piece.input).needs_grad ? ViewSum(piece.dims, piece.to, piece.from) : ViewSum());
      bring_transpose_in(nests_.back());
      tiles_.push_back(is_transpose(nests_.back()) ? strips_of(nests_.back()) : Nest{});
    }
  }

  void forward(const Context& context) override {
    if (spec_.has_fill) fill_all(context, out_, spec_.fill);
    for (std::size_t i = 0; i < nests_.size(); ++i) {
      const Nest& nest = nests_[i];
      const float* from = in(sources_[i]).data;
      if (is_transpose(nest)) {
        transpose(context, nest, tiles_[i], from);
        continue;
      }
      const std::int64_t step = nest.stride(0), to_step = nest.stride(1);
      each_line(context, nest, [&](const auto& at, std::int64_t count) {
        copy_line(from + at[0], step, out_.data + at[1], to_step, count);
      });
    }
  }

  void backward(const Context& context) override {
    for (std::size_t input = 0; input < inputs_.size(); ++input) {
      float* to = gradient(context, input);
      for (std::size_t i = 0; to && i < sources_.size(); ++i) {
        if (sources_[i] == input) sums_[i].add(context, out_.grad, to);
      }
    }
  }

 private:
  // Where the source is contiguous along another axis than the destination, both axes are walked in tiles.
  static bool is_transpose(const Nest& nest) {
    const std::size_t rank = nest.dims.size();
    return rank >= 2 && nest.views[1].strides[rank - 1] == 1 && nest.views[0].strides[rank - 2] == 1 &&
           nest.views[0].strides[rank - 1] != 1;
  }

  static void bring_transpose_in(Nest& nest) {
    const std::size_t rank = nest.dims.size();
    if (rank < 2 || nest.views[0].strides[rank - 1] == 1 || nest.views[1].strides[rank - 1] != 1) return;
    for (std::size_t axis = 0; axis + 2 < rank; ++axis) {
      if (nest.views[0].strides[axis] != 1) continue;
      std::rotate(nest.dims.begin() + static_cast<std::ptrdiff_t>(axis),
                  nest.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, nest.dims.end() - 1);
      for (DenseView& view : nest.views) {
        std::rotate(view.strides.begin() + static_cast<std::ptrdiff_t>(axis),
                    view.strides.begin() + static_cast<std::ptrdiff_t>(axis) + 1, view.strides.end() - 1);
      }
      return;
    }
  }

  static constexpr std::int64_t kTile = 16;

  // The lines of a transpose: one each a strip of kTile rows, whose first row is the third view's offset.
  static Nest strips_of(const Nest& nest) {
    const std::size_t rank = nest.dims.size();
    Nest tiles;
    tiles.dims.assign(nest.dims.begin(), nest.dims.end() - 2);
    tiles.dims.push_back((nest.dims[rank - 2] + kTile - 1) / kTile);
    tiles.dims.push_back(1);
    for (std::size_t v = 0; v < 2; ++v) {
      const DenseView& view = nest.views[v];
      DenseView strip{view.offset, {view.strides.begin(), view.strides.end() - 2}};
      strip.strides.push_back(kTile * view.strides[rank - 2]);
      strip.strides.push_back(1);
      tiles.views.push_back(strip);
    }
    tiles.views.push_back({0, Dims(tiles.dims.size(), 0)});
    tiles.views[2].strides[tiles.dims.size() - 2] = kTile;
    return tiles;
  }

  void transpose(const Context& context, const Nest& nest, const Nest& tiles, const float* from) const {
    const std::size_t rank = nest.dims.size();
    const std::int64_t rows = nest.dims[rank - 2], columns = nest.dims[rank - 1];
    const std::int64_t from_column = nest.views[0].strides[rank - 1], to_row = nest.views[1].strides[rank - 2];
    each_line(context, tiles, [&](const auto& at, std::int64_t) {
      const std::int64_t height = std::min(kTile, rows - at[2]);
      for (std::int64_t first = 0; first < columns; first += kTile) {
        const std::int64_t width = std::min(kTile, columns - first);
        for (std::int64_t row = 0; row < height; ++row) {
          const float* source = from + at[0] + row + first * from_column;
          float* to = out_.data + at[1] + row * to_row + first;
          for (std::int64_t i = 0; i < width; ++i) to[i] = source[i * from_column];
        }
      }
    });
  }

  std::vector<Nest> nests_, tiles_;  // tiles_: of those that are transposes
  std::vector<std::size_t> sources_;
  std::vector<ViewSum> sums_;
};

// out[i0, i1, …] = in[t0[i0] + t1[i1] + …], or `fill` where a table says −1.
class Take : public DenseStep {
 public:
  Take(const StepSpec& spec, StepResources resources) : DenseStep(spec, resources) {
    if (spec_.tables.empty() || spec_.tables.size() > 16)
      throw Error(ErrorCode::argument, "take: 1 to 16 tables are needed");
    std::int64_t reach = 0;
    Dims dims;
    for (const Dims& table : spec_.tables) {
      dims.push_back(static_cast<std::int64_t>(table.size()));
      std::int64_t most = 0;
      for (const std::int64_t offset : table) {
        if (offset < -1) throw Error(ErrorCode::argument, "take: an offset out of range");
        most = std::max(most, offset);
      }
      reach += most;
    }
    expect_count(out_, product(dims), "take");
    if (reach >= count(in())) throw Error(ErrorCode::argument, "take: a table reaches outside of its value");
    outer_.assign(dims.begin(), dims.end() - 1);
    if (in().needs_grad) find_parts();
  }

  void forward(const Context& context) override {
    const Dims& last = spec_.tables.back();
    const std::int64_t line = static_cast<std::int64_t>(last.size());
    context.parallel(product(outer_), [&](std::int64_t index, int) {
      float* to = out_.data + index * line;
      const std::int64_t base = base_of(index);
      if (base < 0) {
        std::fill(to, to + line, spec_.fill);
        return;
      }
      const float* from = in().data + base;
      for (std::int64_t i = 0; i < line; ++i) {
        const std::int64_t offset = last[static_cast<std::size_t>(i)];
        to[i] = offset < 0 ? spec_.fill : from[offset];
      }
    });
  }

  // Elements that are taken several times are summed in the order in which they were. A job is a part that shares none
  // with the others.
  void backward(const Context& context) override {
    float* to = gradient(context, 0);
    if (!to) return;
    const Dims& last = spec_.tables.back();
    const std::int64_t line = static_cast<std::int64_t>(last.size());
    const std::int64_t lines = product(outer_) / std::max<std::int64_t>(1, parts_);
    context.parallel(parts_, [&](std::int64_t part, int) {
      for (std::int64_t index = part * lines; index < (part + 1) * lines; ++index) {
        const std::int64_t base = base_of(index);
        for (std::int64_t i = 0; base >= 0 && i < line; ++i) {
          const std::int64_t offset = last[static_cast<std::size_t>(i)];
          if (offset >= 0) to[base + offset] += out_.grad[index * line + i];
        }
      }
    });
  }

 private:
  // Of a line: Σ of the outer tables, −1 where it lies outside.
  std::int64_t base_of(std::int64_t index) const {
    std::int64_t base = 0;
    bool outside = false;
    for (std::size_t axis = outer_.size(); axis-- > 0;) {
      const std::int64_t offset = spec_.tables[axis][static_cast<std::size_t>(index % outer_[axis])];
      outside = outside || offset < 0;
      base += offset;
      index /= outer_[axis];
    }
    return outside ? -1 : base;
  }

  // Leading axes whose offsets are further apart than all behind them reach.
  void find_parts() {
    std::vector<std::int64_t> reach(spec_.tables.size() + 1, 0);  // of this axis and those behind it
    for (std::size_t axis = spec_.tables.size(); axis-- > 0;) {
      const Dims& table = spec_.tables[axis];
      const std::int64_t most = table.empty() ? 0 : *std::max_element(table.begin(), table.end());
      reach[axis] = reach[axis + 1] + std::max<std::int64_t>(0, most);
    }
    for (std::size_t axis = 0; axis < outer_.size(); ++axis) {
      Dims sorted = spec_.tables[axis];
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t i = 1; i < sorted.size(); ++i) {
        if (sorted[i] - sorted[i - 1] <= reach[axis + 1]) return;
      }
      parts_ *= outer_[axis];
    }
  }

  Dims outer_;
  std::int64_t parts_ = 1;
};

}  // namespace

std::unique_ptr<Step> make_copy(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Copy>(spec, resources);
}

std::unique_ptr<Step> make_take(const StepSpec& spec, StepResources resources) {
  return std::make_unique<Take>(spec, resources);
}

}  // namespace polyadic

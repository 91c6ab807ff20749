// In which order a convolution's output channels lie in memory.
#pragma once

#include <cstdint>

namespace polyadic {

// How output channels of a convolution are taken together by maxout: destination channel o is the maximum over
// j < pieces of convolution channel o·pieces + j (adjacent) or j·C/pieces + o (strided).
struct Maxout {
  std::int64_t pieces = 1;
  bool adjacent = true;
  std::int64_t channel(std::int64_t o, std::int64_t j, std::int64_t channels) const {
    return adjacent ? o * pieces + j : j * (channels / pieces) + o;
  }
};

// As they are counted, or by pieces: a block of piece 0, the same channels of piece 1, …, then the next block of piece
// 0. Then the pieces that a maxout behind the convolution compares lie lane by lane in blocks that follow each other.
struct ChannelOrder {
  Maxout maxout{};
  std::int64_t channels = 0;  // of the convolution
  int block = 1;

  bool by_pieces() const { return maxout.pieces > 1; }
  std::int64_t after_maxout() const { return channels / maxout.pieces; }
  // Places for channels, those that stay empty included.
  std::int64_t places() const { return (after_maxout() + block - 1) / block * block * maxout.pieces; }
  // Which channel lies at a place, −1: none.
  std::int64_t channel_at(std::int64_t place) const {
    if (!by_pieces()) return place;
    const std::int64_t blocks = place / block;
    const std::int64_t o = blocks / maxout.pieces * block + place % block;
    return o < after_maxout() ? maxout.channel(o, blocks % maxout.pieces, channels) : -1;
  }
};

}  // namespace polyadic

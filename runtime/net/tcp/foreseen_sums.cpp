#include "foreseen_sums.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::tcp {

bool foreseen_sums::foresee(wire::sequence unsent, wire::sequence end, std::uint32_t segment_bytes) {
  if (!wire::sums_while_copying()) return false;
  if (begin_ < unsent) whole_ = 0, last_bytes_ = 0;
  if (!is_empty()) {
    auto const known_to = begin_ + (whole_ * segment_bytes_ + last_bytes_);
    return segment_bytes == segment_bytes_ && end == known_to && whole_ < sums_.size();
  }
  // What waits leaves in whole segments, too.
  auto const over = static_cast<std::uint32_t>(end - unsent) % segment_bytes;
  before_ = over == 0 ? 0 : segment_bytes - over;
  begin_ = end + before_;
  segment_bytes_ = segment_bytes;
  return true;
}

void foreseen_sums::copy(std::byte* to, std::span<std::byte const> from) {
  auto const next = [&](std::size_t most) {
    auto const part = from.first(std::min(from.size(), most));
    from = from.subspan(part.size());
    return part;
  };
  auto const plain = [&](std::span<std::byte const> part) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  };
  if (before_ != 0) {
    auto const part = next(before_);
    before_ -= static_cast<std::uint32_t>(part.size());
    plain(part);
  }
  while (!from.empty() && whole_ < sums_.size()) {
    auto const part = next(segment_bytes_ - last_bytes_);
    auto const sum = wire::fold_checksum(wire::copy_and_sum(to, part));
    to += part.size();
    if (last_bytes_ == 0) last_sum_ = 0;
    // A piece that begins at an odd offset counts with its bytes swapped.
    last_sum_ += last_bytes_ % 2 == 0 ? sum : std::byteswap(sum);
    last_bytes_ += static_cast<std::uint32_t>(part.size());
    if (last_bytes_ != segment_bytes_) continue;
    sums_[(first_ + whole_++) % sums_.size()] = wire::fold_checksum(last_sum_);
    last_bytes_ = 0;
  }
  plain(from);
}

/// What was written last and fills no segment, once all before it is gone. Whatever else is asked for was not foreseen.
std::optional<std::uint16_t> foreseen_sums::take_last(wire::sequence from, std::uint32_t bytes) {
  bool const is_last = from == begin_ && whole_ == 0 && bytes == last_bytes_;
  begin_ = from + bytes;
  whole_ = 0;
  last_bytes_ = 0;
  if (!is_last) return std::nullopt;
  return wire::fold_checksum(last_sum_);
}

}  // namespace morgana::net::tcp

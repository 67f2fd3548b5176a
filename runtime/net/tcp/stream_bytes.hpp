// What one direction of a connection holds of its stream: few bytes in place, more as pieces of buffers (chunks.hpp).
//
// A request or an answer of some dozen bytes, alone under way, so costs two copies of them and neither a buffer nor a
// piece: what is sent is copied into the frame's own room each time it goes (segment::push_header), what came gives its
// buffer back at once. As soon as more is there than has place, the rest are pieces behind.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "chunks.hpp"

namespace morgana::net::tcp {

/// `Most`: how many it has place for.
template <std::size_t Most>
class stream_bytes {
 public:
  static constexpr std::size_t kept_max = Most;
  static_assert(kept_max <= UINT8_MAX);

  explicit stream_bytes(chunk_source& from) : pieces_(from) {}

  [[nodiscard]] std::size_t size() const { return kept_size_ + pieces_.size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// Those in front that lie here.
  [[nodiscard]] std::span<std::byte const> kept() const { return {kept_.data() + kept_begin_, kept_size_}; }
  /// All of them, when all lie here; else none.
  [[nodiscard]] std::span<std::byte const> kept_alone() const {
    return {kept_.data() + kept_begin_, pieces_.empty() ? kept_size_ : std::size_t{0}};
  }
  /// All of them, when they are one piece; else none.
  [[nodiscard]] std::span<std::byte const> piece_alone() const {
    auto const* const front = pieces_.front();
    return kept_size_ != 0 || front == nullptr || front != pieces_.back() ? std::span<std::byte const>() : front->bytes();
  }
  /// Those behind them. Whoever puts something there has asked keeps() before.
  [[nodiscard]] chunk_list& pieces() { return pieces_; }
  [[nodiscard]] chunk_list const& pieces() const { return pieces_; }

  /// Whether so many more have place here, with nothing between.
  [[nodiscard]] bool keeps(std::size_t bytes) const {
    return bytes <= kept_max && bytes <= kept_max - (kept_begin_ + kept_size_) && pieces_.empty();
  }
  /// Room for them, which is to be filled. Only when it keeps() them.
  [[nodiscard]] std::span<std::byte> keep(std::size_t bytes) {
    std::span<std::byte> const room{kept_.data() + kept_begin_ + kept_size_, bytes};
    kept_size_ = static_cast<std::uint8_t>(kept_size_ + bytes);
    return room;
  }
  /// Copies all or, when the pool is empty, a part; says how much.
  [[nodiscard]] std::size_t append(std::span<std::byte const> bytes) {
    if (!keeps(bytes.size())) return pieces_.append(bytes);
    if (!bytes.empty()) std::memcpy(keep(bytes.size()).data(), bytes.data(), bytes.size());
    return bytes.size();
  }
  /// The longest run in front that lies in one piece.
  [[nodiscard]] std::span<std::byte const> front() const {
    if (kept_size_ != 0) return kept();
    return pieces_.front() == nullptr ? std::span<std::byte const>() : pieces_.front()->bytes();
  }
  /// All that lie here.
  void drop_all_kept() { kept_begin_ = kept_size_ = 0; }
  /// Not more than there are.
  void drop_front(std::size_t bytes) {
    auto const here = std::min<std::size_t>(bytes, kept_size_);
    drop_kept(here);
    if (bytes != here) pieces_.drop_front(bytes - here);
  }
  void clear() {
    kept_begin_ = kept_size_ = 0;
    if (pieces_.front() != nullptr) pieces_.clear();
  }
  /// Copies from the front and drops what was copied; says how much.
  [[nodiscard]] std::size_t take_out(std::span<std::byte> into) {
    auto const here = std::min<std::size_t>(kept_size_, into.size());
    if (here != 0) {
      std::memcpy(into.data(), kept_.data() + kept_begin_, here);
      drop_kept(here);
    }
    return pieces_.empty() ? here : here + pieces_.take_out(into.subspan(here));
  }

 private:
  void drop_kept(std::size_t bytes) {
    kept_size_ = static_cast<std::uint8_t>(kept_size_ - bytes);
    kept_begin_ = kept_size_ == 0 ? std::uint8_t{0} : static_cast<std::uint8_t>(kept_begin_ + bytes);
  }
  chunk_list pieces_;
  std::uint8_t kept_begin_ = 0;
  std::uint8_t kept_size_ = 0;
  std::array<std::byte, kept_max> kept_;
};

}  // namespace morgana::net::tcp

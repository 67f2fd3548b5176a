// What arrived: the bytes in order that the user has not read, and up to a limit of ranges beyond a gap.
// The work per segment depends on the number of ranges, never on the number of segments held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "morgana/net/wire/tcp.hpp"
#include "stream_bytes.hpp"

namespace morgana::net::tcp {

class receive_queue {
 public:
  /// What a frame brings that lies in its segment's own room whole, behind the usual headers of IPv4: most requests.
  static constexpr std::size_t kept_max = segment_headroom_bytes - (14 + 20 + 32);
  using ready_bytes = stream_bytes<kept_max>;

  explicit receive_queue(chunk_source& from) : from_(&from), ready_(from) {}

  void start_at(wire::sequence first) { next_ = first; }
  /// RCV.NXT as far as data goes.
  [[nodiscard]] wire::sequence next() const { return next_; }
  [[nodiscard]] ready_bytes& ready() { return ready_; }
  [[nodiscard]] ready_bytes const& ready() const { return ready_; }
  [[nodiscard]] bool has_gaps() const { return beyond_ != nullptr && !beyond_->ranges.empty(); }
  [[nodiscard]] std::size_t out_of_order_bytes() const { return beyond_ == nullptr ? 0 : beyond_->waiting; }

  enum class outcome : std::uint8_t {
    in_order,      ///< next() moved
    filled_gap,    ///< it moved, and ranges beyond it remain or were joined
    out_of_order,  ///< kept beyond a gap
    duplicate,     ///< nothing new
    dropped,       ///< the limit of ranges or of buffers; nothing was kept
  };
  /// The payload of `packet` begins at sequence number `at`; it lies within the window. Slices are moved.
  outcome insert(wire::sequence at, segment& packet, std::uint32_t ranges_max);
  /// The same for what begins at next() while there are no gaps: all in order, or dropped. Slices are moved.
  [[gnu::always_inline]] outcome append(segment& packet) {
    auto const size = packet.size();
    if (ready_.keeps(size)) {
      (void)packet.copy_out(0, ready_.keep(size));
      next_ += static_cast<std::uint32_t>(size);
      return size == 0 ? outcome::dropped : outcome::in_order;
    }
    if (packet.header_size() != 0) [[unlikely]] {
      auto& pieces = ready_.pieces();
      auto const before = pieces.size();
      auto const whole = pieces.append(packet.header()) == packet.header_size();
      auto const what = appended(before);
      if (!whole || packet.slices().empty()) return what;
    }
    return append_slices(packet);
  }
  /// The same for bytes that have a place (ready().keeps()).
  [[gnu::always_inline]] void keep(std::span<std::byte const> bytes) {
    std::memcpy(ready_.keep(bytes.size()).data(), bytes.data(), bytes.size());
    next_ += static_cast<std::uint32_t>(bytes.size());
  }
  /// The same for the slices alone, whatever lies in front of them: as pieces.
  [[gnu::always_inline]] outcome append_slices(segment& packet) {
    auto& pieces = ready_.pieces();
    auto const before = pieces.size();
    for (auto& one : packet.owned_slices()) {
      if (!pieces.join(one) && !take(one)) [[unlikely]]
        return appended(before);
    }
    packet.forget_slices();
    return appended(before);
  }
  /// The FIN took a number.
  void pass_fin() { next_ += 1; }

  /// For the next acknowledgment: a duplicate first (RFC 2883), then the ranges, the latest first (RFC 2018,
  /// 4).
  [[nodiscard]] std::uint8_t sack_blocks(std::span<wire::sack_block> into) const;
  void report_duplicate(wire::sequence left, wire::sequence right) {
    beyond().duplicate = wire::sack_block{left, right};
  }
  [[nodiscard]] bool has_sack() const {
    return beyond_ != nullptr && (beyond_->duplicate.has_value() || !beyond_->ranges.empty());
  }
  void reported() {
    if (beyond_ != nullptr) beyond_->duplicate.reset();
  }
  void clear();

 private:
  /// It would keep a whole buffer from its pool: better copied behind what is there.
  [[nodiscard]] bool is_small(std::size_t bytes) const { return bytes * 4 < from_->buffers.buffer_bytes(); }
  void append_copy(slice& part);
  /// As a piece of its own, or copied; whether nothing is left of it.
  [[gnu::always_inline]] bool take(slice& part) {
    auto& pieces = ready_.pieces();
    if (is_small(part.size()) && !pieces.empty() && !pieces.may_hold(part.size())) [[unlikely]] {
      append_copy(part);
    } else {
      pieces.append_piece(part);
    }
    return part.size() == 0;
  }
  /// `before` pieces' bytes were there.
  outcome appended(std::size_t before) {
    auto const size = ready_.pieces().size();
    next_ += static_cast<std::uint32_t>(size - before);
    return size == before ? outcome::dropped : outcome::in_order;
  }
  struct range {
    wire::sequence begin, end;
    std::uint32_t used = 0;  ///< larger is later
    std::unique_ptr<chunk_list> bytes;
  };
  void add(chunk_list& to, segment const& packet, std::size_t offset, std::size_t count);
  bool add_out_of_order(wire::sequence at, wire::sequence end, segment const& packet,
                        std::uint32_t ranges_max);
  void take_ranges();

  /// What only a connection with a gap or a duplicate has; it keeps it from then on.
  struct out_of_order {
    std::size_t waiting = 0;
    std::uint32_t clock = 0;
    std::vector<range> ranges;  ///< by begin; no two touch
    std::optional<wire::sack_block> duplicate;
  };
  [[nodiscard]] out_of_order& beyond() {
    if (beyond_ == nullptr) beyond_ = std::make_unique<out_of_order>();
    return *beyond_;
  }

  chunk_source* from_;
  ready_bytes ready_;
  std::unique_ptr<out_of_order> beyond_;
  wire::sequence next_;
};

}  // namespace morgana::net::tcp

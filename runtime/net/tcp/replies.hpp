// Segments that belong to no connection record: resets, SYN-ACKs, challenge and TIME-WAIT acknowledgments.
// A ring of fixed size; when it is full the newest is dropped, as the network might have done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

struct reply {
  addressing between;
  std::uint64_t way;         ///< what addressing::way points to; 0: not known
  std::uint8_t size;         ///< of the header, which is all of it
  /// The header, its checksum included, in the last of these: so all are copied at once, whatever its size.
  std::array<std::byte, 64> room;
  [[nodiscard]] std::span<std::byte> header() { return {room.data() + room.size() - size, size}; }
};

class reply_queue {
 public:
  reply_queue() {}
  ~reply_queue() {}
  [[nodiscard]] reply* add() {
    if (count_ == places) return nullptr;
    auto const at = (first_ + count_++) % places;
    // In order, the first time round: a host that starts has 40 KB of them, and most never need one.
    if (at == made_) {
      ++made_;
      return std::construct_at(&ring_[at]);
    }
    return &ring_[at];
  }
  [[nodiscard]] reply const* front() const { return count_ == 0 ? nullptr : &ring_[first_]; }
  void pop() {
    first_ = (first_ + 1) % places;
    --count_;
  }

 private:
  static constexpr std::size_t places = 256;
  static_assert(std::is_trivially_destructible_v<reply>);
  union {
    std::array<reply, places> ring_;
  };
  std::size_t first_ = 0, count_ = 0;
  std::size_t made_ = 0;   ///< of the ring, from its begin on
};

}  // namespace morgana::net::tcp

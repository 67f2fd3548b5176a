// Segments that belong to no connection record: resets, SYN-ACKs, challenge and TIME-WAIT acknowledgments.
// A ring of fixed size; when it is full the newest is dropped, as the network might have done.
#pragma once

#include <array>
#include <cstddef>

#include "morgana/net/tcp/engine.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net::tcp {

struct reply {
  addressing between;
  wire::tcp_header header;
  std::array<std::byte, 8> cookie;  ///< of Fast Open, where the header refers to it
};

class reply_queue {
 public:
  [[nodiscard]] reply* add() {
    return count_ == ring_.size() ? nullptr : &ring_[(first_ + count_++) % ring_.size()];
  }
  [[nodiscard]] reply const* front() const { return count_ == 0 ? nullptr : &ring_[first_]; }
  void pop() {
    first_ = (first_ + 1) % ring_.size();
    --count_;
  }

 private:
  std::array<reply, 256> ring_;
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace morgana::net::tcp

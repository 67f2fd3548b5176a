// Half-open passive connections, small: what a SYN said, until the handshake is done (a SYN cache, RFC
// 4987 3.4). Those retransmitted equally often wait equally long, so each such group is a queue.
#pragma once

#include <array>
#include <cstdint>

#include "flow.hpp"
#include "list.hpp"
#include "morgana/core/time.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "slab.hpp"
#include "tcb.hpp"

namespace morgana::net::tcp {

struct half_open_tag;

struct half_open : flow, hook<half_open_tag> {
  half_open(flow_key const& key, port& where) : flow(key, flow_kind::half_open), where(&where) {}
  port* where;
  wire::sequence initial, peer_initial;
  std::uint32_t recent_timestamp = 0;
  std::uint32_t timestamp_offset = 0;
  std::uint32_t window = 0;
  agreed terms;
  std::uint8_t retries = 0;
  wire::fast_open_option cookie_as = wire::fast_open_option::none;  ///< how the SYN-ACK brings a cookie
  instant at{};  ///< when the next SYN-ACK is due
};

struct half_open_table {
  static constexpr std::size_t groups = 8;  ///< more retries than this wait in the last one
  slab<half_open> entries{64};
  std::array<list<half_open, half_open_tag>, groups> by_retries;
  /// RFC 6298, 2.1 and 5.5.
  [[nodiscard]] static duration wait(std::uint8_t retries) {
    return 1s * (1 << (retries < groups - 1 ? retries : groups - 1));
  }
  [[nodiscard]] list<half_open, half_open_tag>& group(std::uint8_t retries) {
    return by_retries[retries < groups ? retries : groups - 1];
  }
  [[nodiscard]] instant next() const { return entries.used() == 0 ? never : next_of_some(); }
  [[nodiscard]] instant next_of_some() const {
    auto first = never;
    for (auto const& one : by_retries) {
      if (auto const* entry = one.front(); entry != nullptr && entry->at < first) first = entry->at;
    }
    return first;
  }
};

}  // namespace morgana::net::tcp

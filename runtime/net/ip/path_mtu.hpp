// What routers said about packets that were too big (RFC 1191, RFC 8201). Bounded, and forgotten after a while so
// that a path that grew is found out. Who says it must have quoted something of ours: that is checked before.
#pragma once

#include <cstdint>
#include <vector>

#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/limits.hpp"

namespace morgana::net::host {

inline constexpr std::uint32_t ipv6_mtu_min = 1280;  ///< RFC 8200 5

class path_mtu_cache {
 public:
  explicit path_mtu_cache(network_limits const& limits) : limits_(limits) {}

  /// What a "too big" means for packets of `packet_bytes` to `destination`, before it is believed: never below
  /// the family's minimum, never above what was sent; 0 (routers older than RFC 1191) is guessed by its table.
  [[nodiscard]] std::uint32_t plausible(bool is_v6, std::uint32_t claimed, std::uint32_t packet_bytes) const;
  /// Remembers it; whether that made the path smaller.
  bool reduce(ip_address const& destination, std::uint32_t mtu_bytes, instant now);
  /// The least of `link_bytes` and what is known.
  [[nodiscard]] std::uint32_t find(ip_address const& destination, std::uint32_t link_bytes) const;

  [[nodiscard]] instant next_deadline() const { return next_due_; }
  /// Whether something was forgotten.
  bool on_deadline(instant now);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct entry {
    ip_address destination;
    std::uint32_t mtu_bytes;
    instant until;
  };
  network_limits const& limits_;
  std::vector<entry> entries_;
  instant next_due_ = never;
  std::uint64_t evicted_ = 0;
};

}  // namespace morgana::net::host

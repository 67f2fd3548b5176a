// The name servers to ask, and which of them first: in the order given, but one that did not answer, or
// answered with a failure, is left for last for a while that doubles each time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"

namespace morgana::net::dns {

class server_list {
 public:
  /// resolver(5) knows three; DHCP and routers together may give a few more. Further ones are not used.
  static constexpr std::size_t servers_max = 6;

  /// Replaces the list; what is known of servers that stay is kept.
  void set(std::span<endpoint const> servers);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] endpoint const& operator[](std::size_t at) const { return all_[at].where; }

  /// The server to try next of those not in `tried` (a bit each), which it is added to: healthy ones in
  /// order, then those in back-off, soonest first. When all were tried, from the front again. There is at
  /// least one server.
  [[nodiscard]] std::size_t choose(std::uint32_t& tried, instant now) const;
  void answered(endpoint const& server);
  void failed(endpoint const& server, instant now);

 private:
  struct server {
    endpoint where;
    std::uint32_t failures = 0;
    instant avoid_until{};
  };
  [[nodiscard]] server* find(endpoint const& where);
  std::array<server, servers_max> all_{};
  std::size_t size_ = 0;
};

}  // namespace morgana::net::dns

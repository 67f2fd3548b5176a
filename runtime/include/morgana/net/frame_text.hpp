// One line of text about an Ethernet frame, as `tcpdump -n` would say it. For people: what it says of a
// malformed frame is where it stopped understanding. No allocation; flows_max connections are remembered, by
// their first sequence numbers, and the newest takes an older one's place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "morgana/core/text.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/segment.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"

namespace morgana::net {

class frame_text {
 public:
  static constexpr std::size_t flows_max = 64;

  void write(text_writer& out, segment const& frame);

 private:
  /// A direction of a connection.
  struct flow {
    bool is_used = false;
    endpoint from, to;
    wire::sequence initial;
  };
  [[nodiscard]] flow& place_of(endpoint const& from, endpoint const& to);
  /// Where that direction began, if that was seen.
  [[nodiscard]] std::optional<wire::sequence> initial(endpoint const& from, endpoint const& to);

  void write_ipv4(text_writer& out, std::span<std::byte const> packet, std::size_t available);
  void write_ipv6(text_writer& out, std::span<std::byte const> packet, std::size_t available);
  void write_upper(text_writer& out, ip_address const& from, ip_address const& to, wire::protocol protocol,
                   std::span<std::byte const> bytes, std::size_t available);
  void write_tcp(text_writer& out, ip_address const& from, ip_address const& to,
                 std::span<std::byte const> bytes, std::size_t available);

  std::array<flow, flows_max> flows_;
};

}  // namespace morgana::net

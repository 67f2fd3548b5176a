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
  /// A connection, with the first sequence number that each end was seen to send. Both directions share one
  /// place, so that neither ever takes the other's.
  struct flow {
    endpoint ends[2];
    std::optional<wire::sequence> initial[2];
  };
  /// Whose number stands where in `initial`.
  enum class side : std::uint8_t { sender, receiver };
  [[nodiscard]] flow& place_of(endpoint const& from, endpoint const& to);
  void remember(endpoint const& from, endpoint const& to, wire::sequence initial);
  /// Where that end began to count, if that was seen.
  [[nodiscard]] std::optional<wire::sequence> initial_of(side which, endpoint const& from,
                                                         endpoint const& to);

  void write_ipv4(text_writer& out, std::span<std::byte const> packet, std::size_t available);
  void write_ipv6(text_writer& out, std::span<std::byte const> packet, std::size_t available);
  void write_upper(text_writer& out, ip_address const& from, ip_address const& to, wire::protocol protocol,
                   std::span<std::byte const> bytes, std::size_t available);
  void write_tcp(text_writer& out, ip_address const& from, ip_address const& to,
                 std::span<std::byte const> bytes, std::size_t available);

  std::array<flow, flows_max> flows_;
};

}  // namespace morgana::net

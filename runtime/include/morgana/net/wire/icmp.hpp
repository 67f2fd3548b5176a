// ICMP (RFC 792), ICMPv6 (RFC 4443) and neighbour discovery messages (RFC 4861).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

enum class icmp_v4_type : std::uint8_t {
  echo_reply = 0,
  destination_unreachable = 3,
  redirect = 5,
  echo_request = 8,
  time_exceeded = 11,
  parameter_problem = 12,
};
enum class icmp_v6_type : std::uint8_t {
  destination_unreachable = 1,
  packet_too_big = 2,
  time_exceeded = 3,
  parameter_problem = 4,
  echo_request = 128,
  echo_reply = 129,
  listener_query = 130,
  listener_report_v2 = 143,
  router_solicitation = 133,
  router_advertisement = 134,
  neighbor_solicitation = 135,
  neighbor_advertisement = 136,
  redirect = 137,
};

/// The first eight bytes, the same in both families: type, code, checksum, and four bytes whose meaning the
/// type gives (identifier and sequence of an echo, next-hop MTU, pointer).
struct icmp_header {
  static constexpr std::size_t size_bytes = 8;

  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint32_t rest = 0;

  [[nodiscard]] std::uint16_t identifier() const { return static_cast<std::uint16_t>(rest >> 16); }
  [[nodiscard]] std::uint16_t sequence() const { return static_cast<std::uint16_t>(rest); }
  void emit(std::span<std::byte> into) const;
  [[nodiscard]] static parsed<icmp_header> parse(std::span<std::byte const> message);
};

/// What an error message quotes: enough of our own packet to find whom it concerns (RFC 5927 4.1 has the
/// checks that follow).
struct quoted_packet {
  ip_address source, destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0, destination_port = 0;
  std::optional<std::uint32_t> tcp_sequence;
};
[[nodiscard]] parsed<quoted_packet> parse_quote(std::span<std::byte const> quoted, bool is_v6);

}  // namespace morgana::net::wire

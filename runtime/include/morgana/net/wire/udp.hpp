// UDP headers (RFC 768; over IPv6 RFC 8200 8.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

struct udp_header {
  static constexpr std::size_t size_bytes = 8;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t total_bytes = size_bytes;  ///< header and payload
  std::uint16_t checksum = 0;              ///< as on the wire; 0 over IPv4: none

  void emit(std::span<std::byte> into) const;
  /// Errors: too_short, wrong_length.
  [[nodiscard]] static parsed<udp_header> parse(std::span<std::byte const> datagram, std::size_t available);
};

}  // namespace morgana::net::wire

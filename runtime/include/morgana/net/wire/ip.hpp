// IPv4 (RFC 791) and IPv6 (RFC 8200) headers, extension headers and fragments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

/// Assigned Internet Protocol Numbers that a host meets.
enum class protocol : std::uint8_t {
  hop_by_hop = 0,
  icmp_v4 = 1,
  igmp = 2,
  tcp = 6,
  udp = 17,
  routing = 43,
  fragment = 44,
  icmp_v6 = 58,
  no_next_header = 59,
  destination_options = 60,
};

/// Explicit congestion notification, the low two bits of the traffic class (RFC 3168).
enum class ecn : std::uint8_t { not_capable = 0, capable_1 = 1, capable_0 = 2, congestion = 3 };

struct ipv4_header {
  static constexpr std::size_t size_bytes = 20;  ///< without options; ours have none
  static constexpr std::size_t header_bytes_max = 60;

  ipv4_address source;
  ipv4_address destination;
  wire::protocol protocol = wire::protocol::tcp;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;
  std::uint16_t identification = 0;
  std::uint16_t fragment_offset_bytes = 0;  ///< a multiple of 8
  bool more_fragments = false;
  bool do_not_fragment = false;
  std::uint16_t header_bytes = size_bytes;  ///< read: with options
  std::uint16_t total_bytes = size_bytes;   ///< header and payload

  [[nodiscard]] bool is_fragment() const { return more_fragments || fragment_offset_bytes != 0; }
  [[nodiscard]] std::size_t payload_bytes() const { return std::size_t{total_bytes} - header_bytes; }
  /// Writes size_bytes, with the checksum.
  void emit(std::span<std::byte> into) const;
  /// `available` is the whole packet's length when `packet` holds only its first bytes. Trailing bytes beyond
  /// total_bytes are the caller's to drop. Errors: too_short, wrong_version, wrong_header_length,
  /// wrong_length, wrong_checksum, wrong_option.
  [[nodiscard]] static parsed<ipv4_header> parse(std::span<std::byte const> packet, std::size_t available);
};

struct ipv6_header {
  static constexpr std::size_t size_bytes = 40;

  ipv6_address source;
  ipv6_address destination;
  wire::protocol next_header = wire::protocol::tcp;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;  ///< 20 bits
  std::uint16_t payload_bytes = 0;

  void emit(std::span<std::byte> into) const;
  /// Errors: too_short, wrong_version, wrong_length.
  [[nodiscard]] static parsed<ipv6_header> parse(std::span<std::byte const> packet, std::size_t available);
};

/// The fragment header (RFC 8200 4.5).
struct ipv6_fragment {
  static constexpr std::size_t size_bytes = 8;

  protocol next_header = protocol::tcp;
  std::uint16_t offset_bytes = 0;
  bool more_fragments = false;
  std::uint32_t identification = 0;

  void emit(std::span<std::byte> into) const;
};

/// Limits on extension headers (RFC 8504 5.3).
inline constexpr std::size_t extension_headers_max = 8;
inline constexpr std::size_t extension_bytes_max = 256;
inline constexpr std::size_t extension_options_max = 16;

/// What a walk over the extension headers found.
struct ipv6_extensions {
  protocol upper = protocol::no_next_header;  ///< the first header that is no extension
  std::size_t bytes = 0;                      ///< of all extension headers
  std::optional<ipv6_fragment> fragment;
  bool router_alert = false;
  /// A Parameter Problem to send (RFC 4443 3.4): code and pointer, from the packet's start.
  struct problem {
    std::uint8_t code;
    std::uint32_t pointer;
  };
  std::optional<problem> must_report;
  bool must_drop = false;
};

/// Walks from the header after the fixed one. `payload` begins after the fixed header. Errors: too_short,
/// wrong_length, wrong_option (also when a limit above is exceeded).
[[nodiscard]] parsed<ipv6_extensions> parse_extensions(protocol first, std::span<std::byte const> payload,
                                                       bool destination_is_multicast);

}  // namespace morgana::net::wire

// DHCPv4 messages (RFC 2131 2, RFC 2132): a plain value with the options a host acts on. Options split over
// several of the same code are joined (RFC 3396), those in the file and server name fields are found (RFC
// 2132 9.3), unknown ones are passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/dhcp/few.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::dhcp {

inline constexpr std::uint16_t v4_server_port = 67;
inline constexpr std::uint16_t v4_client_port = 68;
/// Lease times of 2^32 - 1 seconds never end (RFC 2131 3.3).
inline constexpr std::uint32_t infinite_s = UINT32_MAX;

enum class v4_type : std::uint8_t {
  discover = 1,
  offer = 2,
  request = 3,
  decline = 4,
  ack = 5,
  nak = 6,
  release = 7,
  inform = 8,
};

/// A classless static route (RFC 3442); a gateway of 0.0.0.0 means on the link.
struct v4_route {
  ipv4_address destination;
  std::uint8_t prefix_bits = 0;
  ipv4_address gateway;
  friend bool operator==(v4_route const&, v4_route const&) = default;
};

struct v4_message {
  static constexpr std::size_t fixed_bytes = 240;  ///< up to the options, the magic cookie included
  static constexpr std::size_t bytes_min = 300;    ///< as BOOTP relays want it (RFC 1542 2.1)
  static constexpr std::size_t bytes_max = 1'400;  ///< longest that we write
  static constexpr std::size_t addresses_max = 4;
  static constexpr std::size_t routes_max = 16;
  static constexpr std::size_t client_identifier_bytes_max =
      140;  ///< a type, an IAID and the longest DUID (RFC 4361)

  v4_type type = v4_type::discover;
  bool is_reply = false;
  std::uint32_t transaction = 0;
  std::uint16_t elapsed_s = 0;
  bool wants_broadcast = false;
  ipv4_address client;   ///< ciaddr: of a client that has one
  ipv4_address yours;    ///< yiaddr: what the server gives
  ipv4_address relay;    ///< giaddr
  mac_address hardware;  ///< chaddr

  // Options, by their number.
  std::optional<ipv4_address> subnet_mask;                        // 1
  few<ipv4_address, addresses_max> routers;                       // 3
  few<ipv4_address, addresses_max> name_servers;                  // 6
  short_text host_name;                                           // 12
  short_text domain;                                              // 15
  std::optional<std::uint16_t> mtu_bytes;                         // 26
  few<ipv4_address, addresses_max> time_servers;                  // 42: NTP
  std::optional<ipv4_address> requested_address;                  // 50
  std::optional<std::uint32_t> lease_s;                           // 51
  std::optional<ipv4_address> server;                             // 54
  few<std::uint8_t, 32> requested_options;                        // 55
  std::optional<std::uint16_t> message_bytes_max;                 // 57
  std::optional<std::uint32_t> renewal_s;                         // 58: T1
  std::optional<std::uint32_t> rebinding_s;                       // 59: T2
  few<std::byte, client_identifier_bytes_max> client_identifier;  // 61
  few<v4_route, routes_max> routes;                               // 121

  /// Writes at the start of `into`, which holds bytes_max; gives the message.
  [[nodiscard]] std::span<std::byte const> emit(std::span<std::byte> into) const;
  /// Errors: too_short, unsupported (not BOOTP over Ethernet, no magic cookie, or no message type),
  /// wrong_option (one runs past its field, or has an impossible length).
  [[nodiscard]] static wire::parsed<v4_message> parse(std::span<std::byte const> message);
};

/// The client identifier of RFC 4361: type 255, an IAID and a DUID made of the link address (RFC 8415 11.4).
/// The same at every boot, for there is nothing else a guest could remember.
[[nodiscard]] few<std::byte, v4_message::client_identifier_bytes_max> client_identifier_of(
    mac_address const& link);

}  // namespace morgana::net::dhcp

// DHCPv6 messages between a client and a server (RFC 8415 8): a plain value with the options a host acts on.
// Unknown options are passed over; relayed messages are none of a host's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/dhcp/few.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::dhcp {

inline constexpr std::uint16_t v6_client_port = 546;
inline constexpr std::uint16_t v6_server_port = 547;
/// ff02::1:2, all relay agents and servers of the link.
inline constexpr ipv6_address v6_all_servers{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2}};

enum class v6_type : std::uint8_t {
  solicit = 1,
  advertise = 2,
  request = 3,
  confirm = 4,
  renew = 5,
  rebind = 6,
  reply = 7,
  release = 8,
  decline = 9,
  reconfigure = 10,
  information_request = 11,
};

/// RFC 8415 21.13.
enum class v6_status : std::uint16_t {
  success = 0,
  unspecified_failure = 1,
  no_addresses = 2,
  no_binding = 3,
  not_on_link = 4,
  use_multicast = 5,
};

/// RFC 8415 11: at most 128 bytes and a type.
using v6_identifier = few<std::byte, 130>;
/// A DUID made of the link address (11.4). The same at every boot, for there is nothing else a guest could
/// remember.
[[nodiscard]] v6_identifier identifier_of(mac_address const& link);

struct v6_address {
  ipv6_address address;
  std::uint32_t preferred_s = 0;
  std::uint32_t valid_s = 0;
  v6_status status = v6_status::success;
  friend bool operator==(v6_address const&, v6_address const&) = default;
};

/// An identity association for non-temporary addresses (21.4).
struct v6_association {
  static constexpr std::size_t addresses_max = 4;
  std::uint32_t id = 0;
  std::uint32_t renewal_s = 0;  ///< T1; 0: the client chooses
  std::uint32_t rebinding_s = 0;
  few<v6_address, addresses_max> addresses;
  v6_status status = v6_status::success;
  friend bool operator==(v6_association const&, v6_association const&) = default;
};

struct v6_message {
  static constexpr std::size_t fixed_bytes = 4;
  static constexpr std::size_t bytes_max = 1'232;  ///< longest that we write: no link fragments it
  static constexpr std::size_t servers_max = 4;

  v6_type type = v6_type::solicit;
  std::uint32_t transaction = 0;  ///< 24 bits

  v6_identifier client;                              // 1
  v6_identifier server;                              // 2
  std::optional<v6_association> association;         // 3; the first
  few<std::uint16_t, 32> requested_options;          // 6
  std::optional<std::uint8_t> preference;            // 7
  std::optional<std::uint16_t> elapsed_10ms;         // 8
  v6_status status = v6_status::success;             // 13
  bool rapid_commit = false;                         // 14
  few<ipv6_address, servers_max> name_servers;       // 23
  std::optional<std::uint32_t> refresh_s;            // 32
  std::optional<std::uint32_t> solicit_retry_max_s;  // 82
  std::optional<std::uint32_t> inform_retry_max_s;   // 83

  /// Writes at the start of `into`, which holds bytes_max; gives the message.
  [[nodiscard]] std::span<std::byte const> emit(std::span<std::byte> into) const;
  /// Errors: too_short, unsupported (a relay's message, or an unknown one), wrong_option (one runs past its
  /// container, or has an impossible length).
  [[nodiscard]] static wire::parsed<v6_message> parse(std::span<std::byte const> message);
};

}  // namespace morgana::net::dhcp

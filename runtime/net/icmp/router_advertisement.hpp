// Router advertisements as they are on the wire (RFC 4861 4.2, 4.6; RDNSS RFC 8106).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/core/time.hpp"
#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

/// The options of any neighbour discovery message: each one's type and whole bytes, in order.
class discovery_options {
 public:
  explicit discovery_options(std::span<std::byte const> bytes) : rest_(bytes) {}
  struct option {
    std::uint8_t type;
    std::span<std::byte const> bytes;   ///< with type and length; a multiple of 8
  };
  /// The next one; nothing at the end or at an impossible length (then is_malformed()).
  [[nodiscard]] std::optional<option> next();
  [[nodiscard]] bool is_malformed() const { return malformed_; }

 private:
  std::span<std::byte const> rest_;
  bool malformed_ = false;
};

inline constexpr std::uint8_t option_source_link_address = 1;
inline constexpr std::uint8_t option_target_link_address = 2;
inline constexpr std::uint8_t option_prefix_information = 3;
inline constexpr std::uint8_t option_mtu = 5;
inline constexpr std::uint8_t option_nonce = 14;                  ///< RFC 7527
inline constexpr std::uint8_t option_recursive_dns = 25;

struct advertised_prefix {
  cidr prefix;
  bool on_link = false;
  bool autonomous = false;
  duration valid{};                  ///< duration::max(): for ever
  duration preferred{};
};

struct router_advertisement {
  static constexpr std::size_t prefixes_max = 8;
  static constexpr std::size_t name_servers_max = 4;

  std::uint8_t hop_limit = 0;        ///< 0: unspecified
  bool managed = false;              ///< addresses are to be had by DHCPv6
  bool other = false;                ///< other things are
  duration router_lifetime{};        ///< 0: not a default router
  duration reachable{};              ///< 0: unspecified
  duration retransmit{};
  std::optional<std::uint32_t> mtu_bytes;
  std::optional<mac_address> link_address;
  std::array<advertised_prefix, prefixes_max> prefixes{};
  std::size_t prefix_count = 0;
  std::array<ipv6_address, name_servers_max> name_servers{};
  std::size_t name_server_count = 0;
  duration name_servers_lifetime{};

  /// `message` begins at the ICMPv6 type. Errors: too_short, wrong_option (RFC 4861 6.1.2). More prefixes or
  /// servers than there is room for are skipped.
  [[nodiscard]] static parsed<router_advertisement> parse(std::span<std::byte const> message);
};

}  // namespace morgana::net::wire

// Ethernet II frames (IEEE 802.3, 3.2) with at most one 802.1Q tag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "morgana/net/address.hpp"
#include "morgana/net/wire/error.hpp"

namespace morgana::net::wire {

enum class ether_type : std::uint16_t { ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd };

inline constexpr mac_address broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
/// RFC 1112 6.4 and RFC 2464 7: the group address of an IP multicast address.
[[nodiscard]] mac_address multicast_mac(ip_address const& group);

struct ethernet_header {
  static constexpr std::size_t size_bytes = 14;
  static constexpr std::size_t vlan_bytes = 4;

  mac_address destination;
  mac_address source;
  ether_type type = ether_type::ipv4;
  std::optional<std::uint16_t>
      vlan;  ///< identifier, 1 to 4094; 0 is a tag of priority alone, which is not kept

  [[nodiscard]] std::size_t encoded_bytes() const { return size_bytes + (vlan ? vlan_bytes : 0); }
  /// Writes encoded_bytes() at the start of `into`, which is long enough.
  void emit(std::span<std::byte> into) const;
  /// Errors: too_short. A length field of IEEE 802.3 (below 0x600) is `unsupported`.
  [[nodiscard]] static parsed<ethernet_header> parse(std::span<std::byte const> frame);
};

}  // namespace morgana::net::wire

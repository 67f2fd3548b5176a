#include "morgana/net/wire/ethernet.hpp"

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::wire {
namespace {
constexpr std::uint16_t vlan_identifier_mask = 0x0fff;
/// Below this the field is a length (IEEE 802.3, 3.2.6).
constexpr std::uint16_t ether_type_min = 0x0600;
}  // namespace

mac_address multicast_mac(ip_address const& group) {
  if (group.is_v4()) {
    auto const& bytes = group.v4().bytes;
    return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(bytes[1] & 0x7f), bytes[2], bytes[3]}};
  }
  auto const& bytes = group.v6().bytes;
  return {{0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]}};
}

void ethernet_header::emit(std::span<std::byte> into) const {
  store_array(into, 0, destination.bytes);
  store_array(into, 6, source.bytes);
  std::size_t at = 12;
  if (vlan) {
    store16(into, at, static_cast<std::uint16_t>(ether_type::vlan));
    store16(into, at + 2, *vlan & vlan_identifier_mask);
    at += vlan_bytes;
  }
  store16(into, at, static_cast<std::uint16_t>(type));
}

parsed<ethernet_header> ethernet_header::parse(std::span<std::byte const> frame) {
  if (frame.size() < size_bytes) return std::unexpected(parse_error::too_short);
  ethernet_header header;
  header.destination.bytes = load_array<6>(frame, 0);
  header.source.bytes = load_array<6>(frame, 6);
  auto type = load16(frame, 12);
  if (type == static_cast<std::uint16_t>(ether_type::vlan)) {
    if (frame.size() < size_bytes + vlan_bytes) return std::unexpected(parse_error::too_short);
    auto const identifier = static_cast<std::uint16_t>(load16(frame, 14) & vlan_identifier_mask);
    header.vlan = identifier;
    type = load16(frame, 16);
  }
  if (type < ether_type_min) return std::unexpected(parse_error::unsupported);
  header.type = static_cast<ether_type>(type);
  return header;
}

}  // namespace morgana::net::wire

#include "morgana/net/wire/arp.hpp"

#include "morgana/net/wire/bytes.hpp"

namespace morgana::net::wire {
namespace {
constexpr std::uint16_t hardware_ethernet = 1;
constexpr std::uint16_t protocol_ipv4 = 0x0800;
}  // namespace

void arp_packet::emit(std::span<std::byte> into) const {
  store16(into, 0, hardware_ethernet);
  store16(into, 2, protocol_ipv4);
  store8(into, 4, 6);
  store8(into, 5, 4);
  store16(into, 6, static_cast<std::uint16_t>(operation));
  store_array(into, 8, sender_mac.bytes);
  store_array(into, 14, sender.bytes);
  store_array(into, 18, target_mac.bytes);
  store_array(into, 24, target.bytes);
}

parsed<arp_packet> arp_packet::parse(std::span<std::byte const> packet) {
  if (packet.size() < size_bytes) return std::unexpected(parse_error::too_short);
  auto const operation = load16(packet, 6);
  bool const known = load16(packet, 0) == hardware_ethernet && load16(packet, 2) == protocol_ipv4 &&
                     load8(packet, 4) == 6 && load8(packet, 5) == 4 && (operation == 1 || operation == 2);
  if (!known) return std::unexpected(parse_error::unsupported);
  arp_packet read;
  read.operation = static_cast<arp_operation>(operation);
  read.sender_mac.bytes = load_array<6>(packet, 8);
  read.sender.bytes = load_array<4>(packet, 14);
  read.target_mac.bytes = load_array<6>(packet, 18);
  read.target.bytes = load_array<4>(packet, 24);
  return read;
}

}  // namespace morgana::net::wire

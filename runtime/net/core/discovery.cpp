// Neighbour discovery messages (RFC 4861), duplicate address detection (RFC 4862 5.4, optimistic RFC 4429).
#include <algorithm>
#include <array>

#include "../icmp/router_advertisement.hpp"
#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

constexpr std::uint8_t number(wire::icmp_v6_type type) { return static_cast<std::uint8_t>(type); }

ip_address const all_nodes = ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
ip_address const all_routers = ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
ip_address const no_address = ipv6_address{};

/// Message, target, and one option of a link address.
constexpr std::size_t fixed_bytes = 24;
constexpr std::size_t option_bytes = 8;
constexpr std::uint32_t flag_solicited = 0x4000'0000;
constexpr std::uint32_t flag_override = 0x2000'0000;
/// RFC 4861 7.1: who sent it is on this link, since no router passed it on.
constexpr std::uint8_t hop_limit_on_link = 255;
/// The longest message looked at; nothing here is ever larger than the smallest MTU.
constexpr std::size_t message_bytes_max = host::ipv6_mtu_min;

void put_link_option(std::span<std::byte> into, std::uint8_t type, mac_address const& mine) {
  wire::store8(into, 0, type);
  wire::store8(into, 1, 1);
  wire::store_array(into, 2, mine.bytes);
}

/// The link address that an option of `type` gives; nothing without one. False: the options are malformed.
bool find_link_option(std::span<std::byte const> bytes, std::uint8_t type, std::optional<mac_address>& found) {
  wire::discovery_options options(bytes);
  while (auto const one = options.next()) {
    if (one->type == type) found = mac_address{wire::load_array<6>(one->bytes, 2)};
  }
  // A group is no neighbour's address.
  if (found && (found->bytes[0] & 1) != 0) return false;
  return !options.is_malformed();
}

}  // namespace

namespace host {
ip_address solicited_node(ip_address const& address) {
  auto const bytes = address.v6().bytes;
  return ipv6_address{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, bytes[13], bytes[14], bytes[15]}};
}
}  // namespace host

// ---- in ----------------------------------------------------------------------------------------------

bool core::implementation::discovery_input(host::received_packet const& in, std::uint8_t type, std::uint8_t code) {
  if (type < number(wire::icmp_v6_type::router_solicitation) || type > number(wire::icmp_v6_type::redirect)) return false;
  std::array<std::byte, message_bytes_max> scratch;
  auto const size = in.packet.size() - in.header_bytes;
  if (in.hop_limit != hop_limit_on_link || code != 0 || size > scratch.size()) {
    ++counters.malformed;
    return true;
  }
  auto const message = std::span(scratch).first(size);
  if (!in.packet.copy_out(in.header_bytes, message)) return true;
  switch (static_cast<wire::icmp_v6_type>(type)) {
    case wire::icmp_v6_type::neighbor_solicitation:
      neighbor_solicited(in, message);
      break;
    case wire::icmp_v6_type::neighbor_advertisement:
      neighbor_advertised(in, message);
      break;
    case wire::icmp_v6_type::router_advertisement:
      router_advertised(in, message);
      break;
    case wire::icmp_v6_type::redirect:
      // RFC 4861 8 lets a host ignore them; a default router that is no first hop is set as a route.
      ++counters.redirects_ignored;
      break;
    default:
      break;
  }
  return true;
}

void core::implementation::neighbor_solicited(host::received_packet const& in, std::span<std::byte const> message) {
  std::optional<mac_address> link;
  bool const well_formed =
      message.size() >= fixed_bytes &&
      find_link_option(message.subspan(fixed_bytes), wire::option_source_link_address, link);
  if (!well_formed) return void(++counters.malformed);
  ip_address const target = ipv6_address{wire::load_array<16>(message, 8)};
  bool const is_test = in.source.is_unspecified();
  // RFC 4861 7.1.1.
  if (target.is_multicast() || (is_test && (link || in.destination != host::solicited_node(target)))) {
    return void(++counters.malformed);
  }
  auto const* const entry = addresses.find(target);
  if (entry == nullptr || entry->state == address_state::duplicated) return;
  if (is_test && entry->state == address_state::tentative) {
    // Another host asks for the address as we do: neither has it (RFC 4862 5.4.3).
    addresses.conflict(target, now);
    return;
  }
  if (!addresses.is_ours(target)) return;
  if (!is_test && link) neighbors.heard(in.source, *link, true, now);
  send_neighbor_advertisement(target, is_test ? all_nodes : in.source, !is_test);
}

void core::implementation::neighbor_advertised(host::received_packet const& in, std::span<std::byte const> message) {
  std::optional<mac_address> link;
  bool const well_formed =
      message.size() >= fixed_bytes &&
      find_link_option(message.subspan(fixed_bytes), wire::option_target_link_address, link);
  if (!well_formed) return void(++counters.malformed);
  ip_address const target = ipv6_address{wire::load_array<16>(message, 8)};
  auto const flags = wire::load32(message, 4);
  bool const solicited = (flags & flag_solicited) != 0;
  // RFC 4861 7.1.2.
  if (target.is_multicast() || (solicited && in.destination.is_multicast())) return void(++counters.malformed);
  if (addresses.find(target) != nullptr) {
    // Our own, come back by a loop of the link, says nothing.
    if (link != configuration.device.address) addresses.conflict(target, now);
    return;
  }
  neighbors.advertised(target, link, solicited, (flags & flag_override) != 0, now);
}

void core::implementation::router_advertised(host::received_packet const& in, std::span<std::byte const> message) {
  if (!configuration.router_advertisements) return;
  auto const read = wire::router_advertisement::parse(message);
  if (!read || !host::is_link_local(in.source)) return void(++counters.malformed);
  if (read->link_address && (read->link_address->bytes[0] & 1) == 0) {
    neighbors.heard(in.source, *read->link_address, true, now);
  }
  neighbors.set_times(read->reachable, read->retransmit);
  bool const before = routers.is_managed(), other_before = routers.has_other_configuration();
  routers.advertised(*read, in.source, now);
  // What is to be had by DHCPv6 concerns who waits for addresses.
  if (routers.is_managed() != before || routers.has_other_configuration() != other_before) told_addresses = false;
  ++generation;
}

// ---- out ---------------------------------------------------------------------------------------------

void core::implementation::send_discovery(host::queued_packet* node, ip_address const& source,
                                          ip_address const& destination, mac_address const& link) {
  auto& packet = node->packet;
  wire::checksum sum;
  sum.add_pseudo_header(source, destination, static_cast<std::uint8_t>(wire::protocol::icmp_v6),
                        static_cast<std::uint32_t>(packet.size()));
  sum.add(packet.header());
  wire::store16(packet.header(), 2, sum.finish());
  push_ip(packet, {source, destination, wire::protocol::icmp_v6, hop_limit_on_link}, {}, 0, false);
  push_ethernet(packet, link);
  output.push(node);
}

void core::implementation::send_neighbor_solicitation(ip_address const& target, ip_address const& source,
                                                      std::optional<mac_address> const& unicast) {
  auto* const node = take_packet();
  if (node == nullptr) return;
  // A test has no source; an address that is not ours for sure must not change others' caches (RFC 4429 3.2).
  auto const* const from = addresses.find(source);
  bool const tell_link = from != nullptr && from->state != address_state::tentative;
  auto const message = node->packet.push_header(fixed_bytes + (tell_link ? option_bytes : 0));
  std::ranges::fill(message, std::byte{0});
  wire::store8(message, 0, number(wire::icmp_v6_type::neighbor_solicitation));
  wire::store_array(message, 8, target.v6().bytes);
  if (tell_link) {
    put_link_option(message.subspan(fixed_bytes), wire::option_source_link_address, configuration.device.address);
  }
  auto const to = unicast ? target : host::solicited_node(target);
  send_discovery(node, source, to, unicast.value_or(wire::multicast_mac(to)));
}

void core::implementation::send_neighbor_advertisement(ip_address const& target, ip_address const& to, bool solicited) {
  auto const destination = to.is_unspecified() ? all_nodes : to;
  auto const* const entry = addresses.find(target);
  bool const is_sure = entry != nullptr && entry->state != address_state::tentative;
  auto* const node = take_packet();
  if (node == nullptr) return;
  auto const message = node->packet.push_header(fixed_bytes + option_bytes);
  std::ranges::fill(message, std::byte{0});
  wire::store8(message, 0, number(wire::icmp_v6_type::neighbor_advertisement));
  // Unsolicited ones correct nobody who knows better.
  wire::store32(message, 4, (solicited ? flag_solicited : 0) | (is_sure && solicited ? flag_override : 0));
  wire::store_array(message, 8, target.v6().bytes);
  put_link_option(message.subspan(fixed_bytes), wire::option_target_link_address, configuration.device.address);
  if (destination.is_multicast()) return send_discovery(node, target, destination, wire::multicast_mac(destination));
  // To a neighbour whose address we may have to ask for in turn.
  wire::checksum sum;
  sum.add_pseudo_header(target, destination, static_cast<std::uint8_t>(wire::protocol::icmp_v6),
                        static_cast<std::uint32_t>(message.size()));
  sum.add(message);
  wire::store16(message, 2, sum.finish());
  (void)send({target, destination, wire::protocol::icmp_v6, hop_limit_on_link}, node);
}

void core::implementation::send_router_solicitation() {
  auto* const node = take_packet();
  if (node == nullptr) return;
  auto const source = addresses.source_for(all_routers, std::nullopt);
  auto const* const from = source ? addresses.find(*source) : nullptr;
  bool const tell_link = from != nullptr && from->state != address_state::tentative;
  auto const message = node->packet.push_header(wire::icmp_header::size_bytes + (tell_link ? option_bytes : 0));
  std::ranges::fill(message, std::byte{0});
  wire::store8(message, 0, number(wire::icmp_v6_type::router_solicitation));
  if (tell_link) {
    put_link_option(message.subspan(wire::icmp_header::size_bytes), wire::option_source_link_address,
                    configuration.device.address);
  }
  send_discovery(node, source.value_or(no_address), all_routers, wire::multicast_mac(all_routers));
}

}  // namespace morgana::net

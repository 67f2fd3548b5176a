// Frames in: Ethernet, ARP, IPv4, and to whom a packet for us goes.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "implementation.hpp"
#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

/// Ethernet with a tag, and the longest IPv4 header.
constexpr std::size_t link_and_ipv4_bytes_max =
    wire::ethernet_header::size_bytes + wire::ethernet_header::vlan_bytes + wire::ipv4_header::header_bytes_max;

ipv4_address constexpr all_systems{{224, 0, 0, 1}};

/// Of the first bytes of a frame: whom it is to, and whether a group sent it.
constexpr std::uint64_t link_mask = std::bit_cast<std::uint64_t>(
    std::array<std::uint8_t, 8>{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00});

/// The headers of Ethernet and IPv4 that an expected frame has.
constexpr auto expected_bytes = wire::ethernet_header::size_bytes + wire::ipv4_header::size_bytes;

/// Type IPv4, version 4, five words of header; and no fragment: as they lie in a frame.
constexpr auto kind_expected = std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{0x08, 0x00, 0x45, 0x00});
constexpr auto kind_mask = std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{0xff, 0xff, 0xff, 0x00});
/// Where IPv4's traffic class and protocol lie in a frame.
constexpr auto class_at = wire::ethernet_header::size_bytes + 1;
constexpr auto protocol_at = wire::ethernet_header::size_bytes + 9;
/// These four bytes, and the traffic class in the last.
std::uint32_t kind_of(std::byte const* frame) {
  std::uint32_t kind;
  std::memcpy(&kind, frame + 12, sizeof kind);
  return kind;
}
constexpr auto fragment_mask = std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{0x00, 0x00, 0x3f, 0xff});

constexpr std::uint8_t code_protocol_unreachable = 2;
constexpr std::uint8_t code_unknown_next_header = 1;

}  // namespace

namespace host {

std::span<std::byte const> leading_copied(segment const& packet, std::size_t wanted, std::span<std::byte> scratch) {
  auto const least = std::min(wanted, packet.size());
  if (packet.front_piece().size() >= least) return packet.front_piece();
  auto const copied = scratch.first(std::min(least, scratch.size()));
  return packet.copy_out(0, copied) ? std::span<std::byte const>(copied) : std::span<std::byte const>();
}

void add_to_checksum(wire::checksum& sum, segment const& packet, std::size_t offset) {
  if (packet.slices().empty() && offset <= packet.header_size()) return sum.add(packet.header().subspan(offset));
  auto const add = [&](std::span<std::byte const> bytes) {
    auto const skipped = std::min(offset, bytes.size());
    offset -= skipped;
    sum.add(bytes.subspan(skipped));
  };
  add(packet.header());
  for (auto const& part : packet.slices()) add(part.bytes());
}

}  // namespace host

// ---- Ethernet ----------------------------------------------------------------------------------------

/// What nearly every frame is: IPv4 without options, whole, between the pair of addresses that came last. `front` is its
/// first piece, of expected_bytes at least; `kind` says which traffic class it has.
[[gnu::always_inline]] inline bool core::implementation::is_expected(segment const& frame, std::byte const* front,
                                                                     std::uint32_t kind) const {
  std::uint64_t link, pair;
  std::uint32_t part;
  constexpr auto ip = wire::ethernet_header::size_bytes;
  std::memcpy(&link, front, sizeof link);
  std::memcpy(&pair, front + ip + 12, sizeof pair);
  std::memcpy(&part, front + ip + 4, sizeof part);
  auto const total = std::size_t{wire::load16({front, expected_bytes}, ip + 2)};
  // To us and not from a group; no fragment, and nothing behind it.
  auto const differs = ((link & link_mask) ^ accepted.link) | (pair ^ accepted.v4_pair) |
                       (kind_of(front) ^ kind) | (part & fragment_mask);
  return differs == 0 && ip + total == frame.size() &&
         wire::sums_to_whole(accepted.pair_sum + wire::sum_words<12>(front + ip));
}

[[gnu::noinline]] void core::implementation::expected_datagram(segment& frame) {
  auto const bytes = frame.front_piece();
  constexpr auto link = wire::ethernet_header::size_bytes;
  auto const hop_limit = wire::load8(bytes, link + 8);
  frame.drop_front(link);
  udp_input({frame, accepted.between.source, accepted.between.destination, wire::protocol::udp,
             wire::ipv4_header::size_bytes, accepted.between.traffic_class, hop_limit, false, false});
}

/// What input() does, for one alone: as questions and answers come.
void core::implementation::input_one(segment& frame) {
  ++counters.frames_in;
  auto const front = frame.front_piece();
  auto const kind = front.size() < expected_bytes ? 0 : kind_of(front.data());
  if ((kind & kind_mask) != kind_expected || accepted.generation != generation ||
      !is_expected(frame, front.data(), kind)) [[unlikely]] {
    unexpected_input(frame);
    return frame.clear();
  }
  accepted.between.traffic_class = wire::load8(front, class_at);
  auto const protocol = wire::load8(front, protocol_at);
  if (protocol == static_cast<std::uint8_t>(wire::protocol::tcp)) [[likely]] {
    frame.drop_front(expected_bytes);
    if (frame.checksum == checksum_state::partial) frame.checksum = checksum_state::valid;
    tcp_engine.input(accepted.between, {&frame, 1}, now);
  } else {
    protocol == static_cast<std::uint8_t>(wire::protocol::udp) ? expected_datagram(frame) : unexpected_input(frame);
  }
  frame.clear();
}

void core::implementation::input(std::span<segment> frames) {
  if (frames.size() == 1) return input_one(frames.front());
  counters.frames_in += frames.size();
  auto* const end = frames.data() + frames.size();
  for (auto* at = frames.data(); at != end;) {
    auto* const first = at;
    auto front = at->front_piece();
    auto const kind = front.size() < expected_bytes ? 0 : kind_of(front.data());
    if ((kind & kind_mask) != kind_expected || accepted.generation != generation ||
        !is_expected(*at, front.data(), kind)) [[unlikely]] {
      unexpected_input(*at++);
      first->clear();
      continue;
    }
    accepted.between.traffic_class = wire::load8(front, class_at);
    auto const protocol = wire::load8(front, protocol_at);
    if (protocol == static_cast<std::uint8_t>(wire::protocol::tcp)) [[likely]] {
      // Those that go the same way are handed on together.
      for (;;) {
        at->drop_front(expected_bytes);
        if (at->checksum == checksum_state::partial) at->checksum = checksum_state::valid;
        if (++at == end) break;
        front = at->front_piece();
        if (front.size() < expected_bytes || wire::load8(front, protocol_at) != protocol ||
            !is_expected(*at, front.data(), kind))
          break;
      }
      tcp_engine.input(accepted.between, std::span(first, at), now);
    } else {
      protocol == static_cast<std::uint8_t>(wire::protocol::udp) ? expected_datagram(*at) : unexpected_input(*at);
      ++at;
    }
    for (auto& one : std::span(first, at)) one.clear();
  }
}

void core::implementation::accept(ip_address const& source, ip_address const& destination) {
  accepted.between = {source, destination, 0};
  accepted.generation = generation;
  accepted.v4_pair = 0;
  accepted.link = ~link_mask;  // which no frame has
  // Raw sockets see what the short cut would pass by them.
  if (source.is_v6() || source.is_unspecified() || !raw.empty() || configuration.vlan) return;
  auto const bytes = std::array{source.v4(), destination.v4()};
  std::memcpy(&accepted.v4_pair, &bytes, sizeof bytes);
  accepted.pair_sum = source.sum() + destination.sum();
  accepted.link = 0;
  std::memcpy(&accepted.link, configuration.device.address.bytes.data(), 6);
}

[[gnu::noinline]] void core::implementation::unexpected_input(segment& frame) {
  std::array<std::byte, link_and_ipv4_bytes_max> scratch;
  auto const bytes = host::leading(frame, scratch.size(), scratch);
  auto const header = wire::ethernet_header::parse(bytes);
  if (!header) {
    ++counters.malformed;
    return;
  }
  bool const to_group = (header->destination.bytes[0] & 1) != 0;
  bool const from_group = (header->source.bytes[0] & 1) != 0;
  // A tag of priority alone belongs to no VLAN.
  bool const our_vlan = header->vlan.value_or(0) == configuration.vlan.value_or(0);
  if (!our_vlan || from_group || (!to_group && header->destination != configuration.device.address)) {
    ++counters.not_for_us;
    return;
  }
  auto const size = header->encoded_bytes();
  switch (header->type) {
    case wire::ether_type::arp:
      return arp_input(bytes.subspan(size));
    case wire::ether_type::ipv4:
      frame.drop_front(size);
      return ipv4_input(frame, to_group, false);
    case wire::ether_type::ipv6:
      if (!features::ipv6) break;
      frame.drop_front(size);
      return ipv6_input(frame, to_group, false);
    case wire::ether_type::vlan:  // a tag within a tag
      break;
  }
  ++counters.not_for_us;
}

// ---- ARP ---------------------------------------------------------------------------------------------

void core::implementation::arp_input(std::span<std::byte const> bytes) {
  auto const packet = wire::arp_packet::parse(bytes);
  if (!packet) {
    ++counters.malformed;
    return;
  }
  auto const& mine = configuration.device.address;
  ip_address const sender = packet->sender;
  ip_address const target = packet->target;
  if (packet->sender_mac == mine) return;  // our own, come back
  if ((packet->sender_mac.bytes[0] & 1) != 0 || sender.is_multicast() || addresses.is_broadcast(sender)) {
    ++counters.malformed;
    return;
  }
  // RFC 5227 2.1.1 and 2.4: somebody has our address, or asks for it as we do.
  if (addresses.find(sender) != nullptr) {
    addresses.conflict(sender, now);
    return;
  }
  if (packet->is_probe()) {
    auto const* const entry = addresses.find(target);
    if (entry != nullptr && entry->state == address_state::tentative && entry->probes_left > 0) {
      addresses.conflict(target, now);
      return;
    }
  }
  bool const for_us = addresses.is_ours(target);
  if (packet->operation == wire::arp_operation::reply) {
    // Only what was asked for is believed at once; other replies may correct an entry, not make one.
    if (for_us) return neighbors.advertised(sender, packet->sender_mac, true, true, now);
    return neighbors.heard(sender, packet->sender_mac, false, now);
  }
  if (!packet->is_probe()) {
    bool const is_neighbor = addresses.on_link_bits(sender) >= 0;
    neighbors.heard(sender, packet->sender_mac, for_us && is_neighbor, now);
  }
  if (for_us) send_arp(true, target, sender, packet->sender_mac, packet->sender_mac);
}

void core::implementation::send_arp(bool is_reply, ip_address const& sender, ip_address const& target,
                                    mac_address const& target_mac, mac_address const& to) {
  auto* const node = take_packet();
  if (node == nullptr) return;
  wire::arp_packet packet;
  packet.operation = is_reply ? wire::arp_operation::reply : wire::arp_operation::request;
  packet.sender_mac = configuration.device.address;
  packet.sender = sender.v4();
  packet.target_mac = target_mac;
  packet.target = target.v4();
  packet.emit(node->packet.push_header(wire::arp_packet::size_bytes));
  wire::ethernet_header header;
  header.destination = to;
  header.source = configuration.device.address;
  header.type = wire::ether_type::arp;
  header.vlan = configuration.vlan;
  header.emit(node->packet.push_header(header.encoded_bytes()));
  output.push(node);
}

void core::implementation::probe(ip_address const& address, instant) {
  if (address.is_v6()) return send_neighbor_solicitation(address, ip_address(ipv6_address{}), std::nullopt);
  send_arp(false, ip_address(ipv4_address{}), address, {}, wire::broadcast_mac);
}

void core::implementation::announce(ip_address const& address, instant) {
  if (address.is_v6()) return send_neighbor_advertisement(address, ip_address(ipv6_address{}), false);
  send_arp(false, address, address, {}, wire::broadcast_mac);
}

// ---- IPv4 --------------------------------------------------------------------------------------------

bool core::implementation::accepts_group(ip_address const& group) const {
  if (group.is_v4()) return group.v4() == all_systems || groups.is_member(group);
  auto const bytes = group.v6().bytes;
  // ff02::1 and ff01::1 (RFC 4291 2.8).
  bool const all_nodes = (bytes[1] == 1 || bytes[1] == 2) && bytes[15] == 1 &&
                         std::all_of(bytes.begin() + 2, bytes.end() - 1, [](std::uint8_t b) { return b == 0; });
  return all_nodes || groups.is_member(group);
}

void core::implementation::ipv4_input(segment& packet, bool link_group, bool looped) {
  std::array<std::byte, wire::ipv4_header::header_bytes_max> scratch;
  auto const bytes = host::leading(packet, scratch.size(), scratch);
  auto const header = wire::ipv4_header::parse(bytes, packet.size());
  if (!header) {
    ++(header.error() == wire::parse_error::wrong_checksum ? counters.wrong_checksums : counters.malformed);
    return;
  }
  ip_address const source = header->source;
  ip_address const destination = header->destination;
  bool const is_known =
      accepted.generation == generation && !link_group && !looped && accepted.is(source, destination);
  bool const is_group = destination.is_multicast();
  bool const is_broadcast = !is_known && addresses.is_broadcast(destination);
  if (!is_known) {
    // RFC 1122 3.2.1.3: what cannot be a source; loopback and our own addresses only within the host.
    bool const impossible =
        source.is_multicast() || addresses.is_broadcast(source) || (source.is_loopback() && !looped) ||
        (destination.is_loopback() && !looped) || (!looped && addresses.is_ours(source)) || header->source.bytes[0] >= 240;
    if (impossible) {
      ++counters.malformed;
      return;
    }
    bool const ours = is_group ? accepts_group(destination) : is_broadcast || is_local(destination);
    // A unicast packet in a broadcast frame is dropped (RFC 1122 3.3.6).
    if (!ours || (link_group && !is_group && !is_broadcast)) {
      ++counters.not_for_us;
      return;
    }
    if (!is_group && !is_broadcast && !looped) accept(source, destination);
  }
  if (packet.size() > header->total_bytes) packet.drop_back(packet.size() - header->total_bytes);
  host::received_packet in{packet,
                           source,
                           destination,
                           header->protocol,
                           header->header_bytes,
                           header->traffic_class,
                           header->hop_limit,
                           link_group || is_group || is_broadcast,
                           looped};
  if (!header->is_fragment()) return deliver(in);
  ++counters.fragments_in;
  if (!features::fragments) {
    ++counters.frames_dropped;
    return;
  }
  // All but the last carry a multiple of eight bytes (RFC 791 3.2).
  if (header->more_fragments && header->payload_bytes() % 8 != 0) {
    ++counters.malformed;
    return;
  }
  host::fragment_key const key{source, destination, header->identification,
                               static_cast<std::uint8_t>(header->protocol)};
  auto const outcome = fragments.add(key, header->fragment_offset_bytes, header->more_fragments, header->header_bytes,
                                     packet, now);
  if (outcome != host::reassembly::outcome::complete) return;
  // The whole datagram has the first fragment's header, made that of a datagram that was never cut.
  auto const whole = packet.slices()[0].writable();
  if (whole.size() < wire::ipv4_header::size_bytes) return;
  in.header_bytes = static_cast<std::size_t>(wire::load8(whole, 0) & 0x0f) * 4;
  wire::store16(whole, 2, static_cast<std::uint16_t>(packet.size()));
  wire::store16(whole, 6, 0);
  wire::store16(whole, 10, 0);
  wire::checksum sum;
  sum.add(whole.first(in.header_bytes));
  wire::store16(whole, 10, sum.finish());
  in.traffic_class = wire::load8(whole, 1);
  deliver(in);
}

// ---- to whom -----------------------------------------------------------------------------------------

void core::implementation::deliver(host::received_packet const& in) {
  bool const is_watched = !raw.empty() && raw_input(in);
  switch (in.protocol) {
    case wire::protocol::tcp:
      // RFC 9293 3.9.2.3, RFC 1122 4.2.3.10: TCP is between two hosts.
      if (in.to_group || in.source.is_unspecified()) {
        ++counters.frames_dropped;
        return;
      }
      in.packet.drop_front(in.header_bytes);
      // What another guest of this machine left to its device is good: it never was on a wire.
      if (in.packet.checksum == checksum_state::partial) in.packet.checksum = checksum_state::valid;
      return tcp_engine.input({in.source, in.destination, in.traffic_class}, std::move(in.packet), now);
    case wire::protocol::udp:
      return udp_input(in);
    case wire::protocol::icmp_v4:
      if (in.source.is_v4()) return icmp_v4_input(in);
      break;
    case wire::protocol::icmp_v6:
      if (in.source.is_v6()) return icmp_v6_input(in);
      break;
    case wire::protocol::igmp:
      if (in.source.is_v4()) return igmp_input(in);
      break;
    case wire::protocol::no_next_header:
      if (in.source.is_v6()) return;
      break;
    default:
      break;
  }
  if (is_watched) return;
  ++counters.frames_dropped;
  if (in.source.is_v4()) {
    return send_error(in, static_cast<std::uint8_t>(wire::icmp_v4_type::destination_unreachable),
                      code_protocol_unreachable, 0);
  }
  // RFC 4443 3.4: the pointer is at the field that named the header. Walk to it again: this is rare.
  std::array<std::byte, wire::ipv6_header::size_bytes + wire::extension_bytes_max> scratch;
  auto const bytes = host::leading(in.packet, in.header_bytes, scratch);
  std::uint32_t pointer = 6;
  std::size_t at = wire::ipv6_header::size_bytes;
  while (at + 2 <= std::min(in.header_bytes, bytes.size())) {
    bool const is_fragment = wire::load8(bytes, pointer) == static_cast<std::uint8_t>(wire::protocol::fragment);
    pointer = static_cast<std::uint32_t>(at);
    at += is_fragment ? 8 : (std::size_t{wire::load8(bytes, at + 1)} + 1) * 8;
  }
  send_error(in, static_cast<std::uint8_t>(wire::icmp_v6_type::parameter_problem), code_unknown_next_header, pointer);
}

}  // namespace morgana::net

// From the upper header to the frame: where it goes, IP and Ethernet headers, fragments.
#include <algorithm>
#include <cstring>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

constexpr std::uint32_t ip_bytes_max = 65'535;
/// Packets to ourselves handled in one call, so that a host talking to itself cannot hold the caller.
constexpr std::uint32_t loopback_burst = 256;
/// RFC 2113: the router alert option, padded.
constexpr std::uint32_t ipv4_router_alert = 0x9404'0000;

mac_address const no_mac{};

}  // namespace

// ---- where -------------------------------------------------------------------------------------------

std::uint32_t core::implementation::link_mtu(bool is_v6) const {
  auto const link = std::min({configuration.device.mtu_bytes, ip_bytes_max, is_v6 ? ip_bytes_max : mtu_limit});
  return is_v6 ? std::min(link, routers.mtu_bytes().value_or(link)) : link;
}

void core::implementation::fill(host::hop& one, ip_address const& destination) {
  one = {};
  one.way = ++ways << hop_bits | static_cast<std::uint64_t>(&one - hops.data());
  one.destination = destination;
  one.generation = generation;
  one.next = destination;
  if (destination.is_left_out()) return;
  auto const bytes = destination.v6().bytes;
  one.flow_seed = siphash(flow_key, std::as_bytes(std::span(bytes)));
  if (is_local(destination)) {
    one.kind = host::hop::kind::local;
    one.source = destination;
    // Through buffers of the pool, as many as a segment takes.
    one.mtu_bytes = static_cast<std::uint32_t>(
        std::min<std::size_t>(ip_bytes_max, (segment_slices_max - 1) * buffers.buffer_bytes()));
    return;
  }
  if (destination.is_loopback() || destination.is_unspecified()) return;
  auto const link = link_mtu(destination.is_v6());
  if (destination.is_multicast() || addresses.is_broadcast(destination)) {
    bool const is_group = destination.is_multicast();
    auto const source = addresses.source_for(destination, std::nullopt);
    if (!source && destination.is_v6()) return;
    one.kind = is_group ? host::hop::kind::multicast : host::hop::kind::broadcast;
    one.source = source.value_or(ip_address(ipv4_address{}));   // how a DHCP client begins
    one.link = is_group ? wire::multicast_mac(destination) : wire::broadcast_mac;
    one.mtu_bytes = link;
    one.good_until = never;
    return;
  }
  auto on_link = addresses.on_link_bits(destination);
  if (destination.is_v6()) on_link = std::max(on_link, routers.on_link_bits(destination));
  auto const* const route = routes.find(destination);
  if (route != nullptr && route->destination.prefix_bits > on_link) {
    one.next = route->gateway.value_or(destination);
  } else if (on_link < 0) {
    auto const router = destination.is_v6() ? routers.default_router() : std::nullopt;
    if (!router) return;
    one.next = *router;
  }
  auto const source = addresses.source_for(destination, one.next);
  if (!source) return;
  one.source = *source;
  one.kind = host::hop::kind::unicast;
  one.mtu_bytes = path_mtus.find(destination, link);
}

bool core::implementation::resolve(host::hop& one) {
  auto const found = neighbors.find(one.next, now);
  if (!found) {
    one.good_until = instant::min();
    return false;
  }
  one.link = found->address;
  one.good_until = found->good_until;
  one.has_start = one.source.is_v4() && !configuration.vlan;
  if (!one.has_start) return true;
  wire::ethernet_header link;
  link.destination = one.link;
  link.source = configuration.device.address;
  link.emit(one.start);
  wire::ipv4_header header;
  header.source = one.source.v4();
  header.destination = one.destination.v4();
  header.do_not_fragment = true;
  header.hop_limit = default_hop_limit(false);
  header.total_bytes = 0;
  auto const bytes = std::span(one.start).subspan(wire::ethernet_header::size_bytes);
  header.emit(bytes);
  wire::store8(bytes, 9, 0);
  wire::store16(bytes, 10, 0);
  one.start_sum = wire::sum_words<wire::ipv4_header::size_bytes>(bytes.data());
  return true;
}

void core::implementation::push_start(segment& packet, host::hop const& to, wire::protocol protocol,
                                      std::uint8_t traffic_class) {
  auto const total = static_cast<std::uint16_t>(packet.size() + wire::ipv4_header::size_bytes);
  auto const bytes = packet.push_header(to.start.size());
  std::memcpy(bytes.data(), to.start.data(), to.start.size());
  auto const ip = bytes.subspan(wire::ethernet_header::size_bytes);
  wire::store8(ip, 1, traffic_class);
  wire::store16(ip, 2, total);
  wire::store8(ip, 9, static_cast<std::uint8_t>(protocol));
  // What is not in the sum of the start, each in its half of a word.
  auto const rest = std::uint32_t{total} + static_cast<std::uint8_t>(protocol) + traffic_class;
  auto const sum = wire::fold_checksum(to.start_sum + wire::network_order(static_cast<std::uint16_t>(rest)) +
                                       wire::network_order(static_cast<std::uint16_t>(rest >> 16)));
  auto const finished = static_cast<std::uint16_t>(~sum);
  std::memcpy(ip.data() + 10, &finished, sizeof finished);
  packet.checksum_start = static_cast<std::uint16_t>(packet.checksum_start + bytes.size());
}

std::optional<tcp::routing::path> core::implementation::find(ip_address const& destination) {
  // TCP is between two hosts (RFC 9293 3.9.2.3).
  auto const& one = path_for(destination);
  if (one.kind == host::hop::kind::multicast || one.kind == host::hop::kind::broadcast) return std::nullopt;
  return way_of(one);
}

void core::implementation::confirm(ip_address const& destination, instant at) {
  // More often than this it hears of progress, so what is good for longer needs no word.
  constexpr duration soon = 5s;
  auto& one = path_for(destination);
  if (one.kind != host::hop::kind::unicast || one.good_until > after(at, soon)) return;
  neighbors.confirm(one.next, at);
  one.good_until = instant::min();
}

void core::implementation::suspect(ip_address const& destination, instant at) {
  auto const& one = path_for(destination);
  if (one.kind == host::hop::kind::unicast) neighbors.suspect(one.next, at);
}

void core::implementation::limit_mtu(ip_address const& destination, std::uint32_t mtu_bytes, instant at) {
  auto const least = destination.is_v6() ? host::ipv6_mtu_min : std::uint32_t{configuration.limits.path_mtu_v4_min};
  if (path_mtus.reduce(destination, std::max(mtu_bytes, least), at)) ++generation;
}

std::optional<tcp::routing::path> core::implementation::way_to(ip_address const& destination) {
  return way_of(path_for(destination));
}

std::optional<tcp::routing::path> core::implementation::way_of(host::hop const& one) const {
  if (one.kind == host::hop::kind::none) return std::nullopt;
  if (one.kind == host::hop::kind::local) return path{one.source, one.mtu_bytes, false, true};
  auto const& device = configuration.device;
  return path{one.source, one.mtu_bytes,
              one.destination.is_v6() ? device.segmentation_tcp_v6 : device.segmentation_tcp_v4,
              device.transmit_checksum, one.has_start ? one.way : 0};
}

bool core::implementation::is_local(ip_address const& address) const {
  return address.is_loopback() || addresses.is_ours(address);
}

// ---- headers -----------------------------------------------------------------------------------------

void core::implementation::push_ip(segment& packet, host::ip_output const& out, host::hop const& to,
                                   std::uint32_t identification, bool may_fragment) {
  auto const payload = packet.size();
  std::size_t pushed = 0;
  if (out.destination.is_v4()) {
    pushed = wire::ipv4_header::size_bytes + (out.router_alert ? 4 : 0);
    auto const bytes = packet.push_header(pushed);
    wire::ipv4_header header;
    header.source = out.source.v4();
    header.destination = out.destination.v4();
    header.protocol = out.protocol;
    header.hop_limit = out.hop_limit;
    header.traffic_class = out.traffic_class;
    header.identification = static_cast<std::uint16_t>(identification);
    header.do_not_fragment = !may_fragment;
    header.total_bytes = static_cast<std::uint16_t>(pushed + payload);
    header.emit(bytes);
    if (out.router_alert) {
      wire::store8(bytes, 0, 0x46);
      wire::store32(bytes, wire::ipv4_header::size_bytes, ipv4_router_alert);
      wire::store16(bytes, 10, 0);
      wire::checksum sum;
      sum.add(bytes);
      wire::store16(bytes, 10, sum.finish());
    }
  } else {
    auto next = out.protocol;
    if (out.router_alert) {
      auto const alert = packet.push_header(8);
      wire::store8(alert, 0, static_cast<std::uint8_t>(next));
      wire::store8(alert, 1, 0);
      wire::store32(alert, 2, 0x0502'0000);
      wire::store16(alert, 6, 0x0100);
      next = wire::protocol::hop_by_hop;
      pushed = 8;
    }
    // RFC 6437: one label per flow, that an outsider cannot guess.
    auto seed = to.flow_seed;
    bool const has_ports = out.protocol == wire::protocol::tcp || out.protocol == wire::protocol::udp;
    if (has_ports && packet.header_size() >= 4) seed ^= wire::load32(packet.header(), 0);
    wire::ipv6_header header;
    header.source = out.source.v6();
    header.destination = out.destination.v6();
    header.next_header = next;
    header.hop_limit = out.hop_limit;
    header.traffic_class = out.traffic_class;
    header.flow_label = static_cast<std::uint32_t>(seed * 0x9e37'79b9'7f4a'7c15ull >> 44);
    header.payload_bytes = static_cast<std::uint16_t>(packet.size());
    header.emit(packet.push_header(wire::ipv6_header::size_bytes));
    pushed += wire::ipv6_header::size_bytes;
  }
  packet.checksum_start = static_cast<std::uint16_t>(packet.checksum_start + pushed);
}

void core::implementation::push_ethernet(segment& packet, mac_address const& to) {
  wire::ethernet_header header;
  header.destination = to;
  header.source = configuration.device.address;
  bool const is_v6 = features::ipv6 && static_cast<std::uint8_t>(packet.header()[0]) >> 4 == 6;
  header.type = is_v6 ? wire::ether_type::ipv6 : wire::ether_type::ipv4;
  header.vlan = configuration.vlan;
  auto const bytes = packet.push_header(header.encoded_bytes());
  header.emit(bytes);
  packet.checksum_start = static_cast<std::uint16_t>(packet.checksum_start + bytes.size());
}

// ---- sending -----------------------------------------------------------------------------------------

host::queued_packet* core::implementation::take_packet() {
  auto* const taken = pool.take();
  if (taken == nullptr) ++counters.transmit_queue_full;
  return taken;
}

bool core::implementation::append_copy(segment& to, std::span<std::byte const> bytes) {
  while (!bytes.empty()) {
    auto const size = std::min(bytes.size(), buffers.buffer_bytes());
    auto part = buffers.take_slice(size);
    if (part.size() == 0) {
      ++counters.no_buffers;
      return false;
    }
    std::memcpy(part.writable().data(), bytes.data(), size);
    if (!to.append(std::move(part))) return false;
    bytes = bytes.subspan(size);
  }
  return true;
}

bool core::implementation::append_copy(segment& to, segment const& from, std::size_t offset, std::size_t bytes) {
  while (bytes != 0) {
    auto const size = std::min(bytes, buffers.buffer_bytes());
    auto part = buffers.take_slice(size);
    if (part.size() == 0) {
      ++counters.no_buffers;
      return false;
    }
    if (!from.copy_out(offset, part.writable()) || !to.append(std::move(part))) return false;
    offset += size;
    bytes -= size;
  }
  return true;
}

bool core::implementation::send(host::ip_output const& out, host::queued_packet* node) {
  auto& to = path_for(out.destination);
  if (to.kind == host::hop::kind::none) {
    ++counters.no_route;
    pool.give(node);
    return false;
  }
  auto const header = out.destination.is_v6() ? wire::ipv6_header::size_bytes : wire::ipv4_header::size_bytes;
  if (node->packet.size() + header > to.mtu_bytes && node->packet.gso_size == 0) {
    if (features::fragments) {
      host::hop const copy = to;
      send_fragments(out, copy, node->packet);
    } else {
      ++counters.frames_dropped;
    }
    pool.give(node);
    return true;
  }
  push_ip(node->packet, out, to, 0, false);
  send_on_link(node, to);
  return true;
}

std::size_t core::implementation::fragment_bytes(host::hop const& to) {
  auto const overhead = to.destination.is_v6() ? wire::ipv6_header::size_bytes + wire::ipv6_fragment::size_bytes
                                               : std::size_t{wire::ipv4_header::size_bytes};
  return (to.mtu_bytes - overhead) / 8 * 8;  // RFC 791 3.2, RFC 8200 4.5
}

void core::implementation::send_fragments(host::ip_output const& out, host::hop const& to, segment const& whole) {
  auto const most = fragment_bytes(to);
  auto const identification = identifications.next(out.source, out.destination);
  for (std::size_t at = 0; at < whole.size(); at += most) {
    auto const size = std::min<std::size_t>(most, whole.size() - at);
    auto* const node = take_packet();
    // A datagram that lacks one fragment is lost, so the rest need not go either.
    if (node == nullptr) return;
    if (!append_copy(node->packet, whole, at, size)) return pool.give(node);
    send_fragment(out, to, node, at, at + size < whole.size(), identification);
  }
}

void core::implementation::send_fragment(host::ip_output const& out, host::hop const& to, host::queued_packet* part,
                                         std::size_t offset, bool more, std::uint32_t identification) {
  bool const is_v6 = out.destination.is_v6();
  auto with = out;
  if (is_v6) {
    wire::ipv6_fragment const header{out.protocol, static_cast<std::uint16_t>(offset), more, identification};
    header.emit(part->packet.push_header(wire::ipv6_fragment::size_bytes));
    with.protocol = wire::protocol::fragment;
  }
  push_ip(part->packet, with, to, identification, true);
  if (!is_v6) {
    auto const bytes = part->packet.header();
    wire::store16(bytes, 6, static_cast<std::uint16_t>(offset / 8 | (more ? 0x2000 : 0)));
    wire::store16(bytes, 10, 0);
    wire::checksum sum;
    sum.add(bytes.first(wire::ipv4_header::size_bytes));
    wire::store16(bytes, 10, sum.finish());
  }
  ++counters.fragments_out;
  host::hop copy = to;
  send_on_link(part, copy);
}

void core::implementation::send_on_link(host::queued_packet* node, host::hop& to) {
  if (to.kind == host::hop::kind::local) return loopback.push(node);
  if (!is_resolved(to)) return neighbors.wait_for(to.next, node, now);
  push_ethernet(node->packet, to.link);
  output.push(node);
}

[[gnu::always_inline]] inline bool core::implementation::finish_tcp(segment& packet, tcp::addressing const& between) {
  if (between.way != nullptr) {
    auto const& known = hops[*between.way % hops.size()];
    if (known.way == *between.way && known.generation == generation && now < known.good_until) [[likely]] {
      push_start(packet, known, wire::protocol::tcp, between.traffic_class);
      return true;
    }
  }
  return finish_tcp_slowly(packet, between);
}

[[gnu::noinline]] bool core::implementation::finish_tcp_slowly(segment& packet, tcp::addressing const& between) {
  auto& to = path_for(between.destination);
  if (now < to.good_until && to.has_start && to.source == between.source) {
    if (between.way != nullptr) *between.way = to.way;
    push_start(packet, to, wire::protocol::tcp, between.traffic_class);
    return true;
  }
  if (to.kind == host::hop::kind::none) {
    ++counters.no_route;
    packet.clear();
    return false;
  }
  host::ip_output const out{between.source, between.destination, wire::protocol::tcp,
                            default_hop_limit(between.source.is_v6()), between.traffic_class};
  push_ip(packet, out, to, 0, false);
  if (to.kind != host::hop::kind::local && is_resolved(to)) {
    push_ethernet(packet, to.link);
    return true;
  }
  auto* const node = take_packet();
  if (node != nullptr) {
    node->packet = std::move(packet);
    send_on_link(node, to);
  }
  packet.clear();
  return false;
}

std::size_t core::implementation::poll_transmit(std::span<segment> into) {
  std::size_t count = 0;
  // Most often nobody but TCP has something.
  auto const has_others = [this] { return !loopback.empty() || !output.empty(); };
  if (!has_others()) [[likely]] {
    while (count < into.size() && tcp_engine.has_output() &&
           pool.used() < configuration.limits.transmit_queue_packets) {
      auto& frame = into.data()[count];
      if (!tcp_engine.poll_transmit(leaving, frame, now)) break;
      if (features::prediction && leaving.has_following) [[unlikely]] {
        count += finish_with_following(into, count);
      } else if (finish_tcp(frame, leaving)) {
        ++count;
      }
    }
    counters.frames_out += count;
    if (!has_others()) [[likely]]
      return count;
  }
  return count + poll_transmit_all(into.subspan(count));
}

/// The frame at `at`, and those that TCP makes from it; says how many there are.
[[gnu::noinline]] std::size_t core::implementation::finish_with_following(std::span<segment> into, std::size_t at) {
  if (!finish_tcp(into[at], leaving)) {
    leaving.has_following = false;
    return 0;
  }
  if (!features::prediction || !leaving.has_following) return 1;
  return 1 + tcp_engine.transmit_following(leaving, into[at], into.subspan(at + 1), now);
}

[[gnu::noinline]] std::size_t core::implementation::poll_transmit_all(std::span<segment> into) {
  std::size_t count = 0;
  std::uint32_t rounds = 0;
  // What TCP sends to ourselves is answered in the loopback, which gives TCP more to send.
  for (;;) {
    if (!loopback.empty()) [[unlikely]] drain_loopback();
    while (count < into.size()) {
      auto* const node = output.pop();
      if (node == nullptr) break;
      into[count++] = std::move(node->packet);
      pool.give(node);
    }
    while (count < into.size() && pool.used() < configuration.limits.transmit_queue_packets) {
      if (!tcp_engine.poll_transmit(leaving, into[count], now)) break;
      count += finish_with_following(into, count);
    }
    bool const may_go_on = !loopback.empty() || (!output.empty() && count < into.size());
    if (!may_go_on || ++rounds == loopback_burst) break;
  }
  counters.frames_out += count;
  return count;
}

void core::implementation::drain_loopback() {
  for (std::uint32_t i = 0; i < loopback_burst; ++i) {
    auto* const node = loopback.pop();
    if (node == nullptr) return;
    ++counters.looped;
    node->packet.checksum = checksum_state::valid;
    bool const is_v6 = features::ipv6 && static_cast<std::uint8_t>(node->packet.header()[0]) >> 4 == 6;
    is_v6 ? ipv6_input(node->packet, false, true) : ipv4_input(node->packet, false, true);
    pool.give(node);
  }
}

// ---- what the neighbour cache asks for ---------------------------------------------------------------

void core::implementation::solicit(ip_address const& target, std::optional<mac_address> const& unicast, instant) {
  auto const source = addresses.source_for(target, target);
  if (!source) return;
  if (target.is_v6()) return send_neighbor_solicitation(target, *source, unicast);
  send_arp(false, *source, target, no_mac, unicast.value_or(wire::broadcast_mac));
}

void core::implementation::resolved(host::queued_packet* packet, mac_address const& to) {
  push_ethernet(packet->packet, to);
  output.push(packet);
}

void core::implementation::unresolved(host::queued_packet* packet, instant) {
  // Our own packet could not go: what a router would report as host unreachable (RFC 1122 3.3.2 has the like).
  std::array<std::byte, 128> scratch;
  auto const bytes = host::leading(packet->packet, scratch.size(), scratch);
  if (!bytes.empty()) {
    auto const about = wire::parse_quote(bytes, features::ipv6 && static_cast<std::uint8_t>(bytes[0]) >> 4 == 6);
    if (about) deliver_error(*about, tcp::engine::soft_error::unreachable, 0);
  }
  pool.give(packet);
}

}  // namespace morgana::net

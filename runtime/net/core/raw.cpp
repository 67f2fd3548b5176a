// Packets of any IP protocol, in and out, for raw sockets.
#include <algorithm>
#include <array>
#include <cstring>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {

struct core::implementation::raw_output final : host::raw_sender {
  explicit raw_output(implementation& of) : host(of) {}
  result<void> send_raw(std::uint8_t protocol, std::span<std::byte const> payload, ip_address const& to,
                        instant at) override {
    return host.send_raw(protocol, payload, to, at);
  }
  result<void> send_packet(std::span<std::byte const> packet, instant at) override { return host.send_packet(packet, at); }
  implementation& host;
};

result<raw_port*> core::implementation::open_raw(address_family family, std::uint8_t protocol) {
  if (!raw_sender) raw_sender = std::make_unique<raw_output>(*this);
  auto made = raw.open(family, protocol, *raw_sender);
  if (!made) {
    ++counters.raw_refused;
    return made;
  }
  // Short cuts that were taken before would pass it by.
  ++generation;
  return made;
}

bool core::implementation::raw_input(host::received_packet const& in) {
  auto const given = raw.deliver(in.packet, in.source, static_cast<std::uint8_t>(in.protocol));
  counters.raw_dropped += given.dropped;
  return given.taken;
}

result<void> core::implementation::send_raw(std::uint8_t protocol, std::span<std::byte const> payload,
                                            ip_address const& to, instant at) {
  now = at;
  auto const header_bytes = to.is_v6() ? wire::ipv6_header::size_bytes : wire::ipv4_header::size_bytes;
  auto const most = 65'535 - header_bytes - wire::ipv6_fragment::size_bytes;
  if (payload.size() > most) return failure(net_error::message_too_long, static_cast<std::int64_t>(most));
  auto const& way = path_for(to);
  if (way.kind == host::hop::kind::none) {
    ++counters.no_route;
    return failure(net_error::unreachable);
  }
  if (!features::fragments && payload.size() + header_bytes > way.mtu_bytes) {
    return failure(net_error::message_too_long, way.mtu_bytes);
  }
  auto const source = way.source;
  auto* const node = take_packet();
  if (node == nullptr) return failure(net_error::limit_reached, configuration.limits.transmit_queue_packets);
  // The front lies in the header room, where a checksum can be put.
  std::size_t const front = std::min<std::size_t>(payload.size(), 8);
  if (!append_copy(node->packet, payload.subspan(front))) {
    pool.give(node);
    return failure(net_error::limit_reached);
  }
  if (front != 0) std::memcpy(node->packet.push_header(front).data(), payload.data(), front);
  if (to.is_v6() && protocol == static_cast<std::uint8_t>(wire::protocol::icmp_v6) && front >= 4) {
    // RFC 3542 3.1: only we know the source that it covers.
    auto const head = node->packet.header();
    wire::store16(head, 2, 0);
    wire::checksum sum;
    sum.add_pseudo_header(source, to, protocol, static_cast<std::uint32_t>(payload.size()));
    sum.add(head);
    sum.add(payload.subspan(front));
    wire::store16(head, 2, sum.finish());
  }
  host::ip_output const out{source, to, static_cast<wire::protocol>(protocol),
                            to.is_multicast() ? std::uint8_t{1} : to.is_v6() ? routers.hop_limit() : std::uint8_t{64}};
  ++counters.raw_out;
  (void)send(out, node);
  return {};
}

result<void> core::implementation::send_packet(std::span<std::byte const> packet, instant at) {
  now = at;
  bool const is_v6 = features::ipv6 && !packet.empty() && static_cast<std::uint8_t>(packet[0]) >> 4 == 6;
  std::size_t header_bytes = wire::ipv6_header::size_bytes;
  ip_address source, destination;
  if (is_v6) {
    auto const header = wire::ipv6_header::parse(packet, packet.size());
    if (!header || header_bytes + header->payload_bytes != packet.size()) return failure(net_error::invalid_address);
    source = header->source;
    destination = header->destination;
  } else {
    // The checksum is ours to write.
    std::array<std::byte, wire::ipv4_header::header_bytes_max> bytes;
    if (packet.size() < wire::ipv4_header::size_bytes) return failure(net_error::invalid_address);
    header_bytes = (static_cast<std::size_t>(packet[0]) & 15) * 4;
    if (header_bytes < wire::ipv4_header::size_bytes || header_bytes > packet.size()) {
      return failure(net_error::invalid_address);
    }
    auto const head = std::span(bytes).first(header_bytes);
    std::memcpy(head.data(), packet.data(), header_bytes);
    wire::store16(head, 10, 0);
    wire::checksum sum;
    sum.add(head);
    wire::store16(head, 10, sum.finish());
    auto const header = wire::ipv4_header::parse(head, packet.size());
    if (!header || header->total_bytes != packet.size()) return failure(net_error::invalid_address);
    source = header->source;
    destination = header->destination;
  }
  // Nobody else's name is written on a packet (RFC 2827).
  if (!source.is_unspecified() && !is_local(source)) return failure(net_error::not_permitted);
  auto& way = path_for(destination);
  if (way.kind == host::hop::kind::none) {
    ++counters.no_route;
    return failure(net_error::unreachable);
  }
  if (packet.size() > way.mtu_bytes) return failure(net_error::message_too_long, way.mtu_bytes);
  auto* const node = take_packet();
  if (node == nullptr) return failure(net_error::limit_reached, configuration.limits.transmit_queue_packets);
  if (!append_copy(node->packet, packet.subspan(header_bytes))) {
    pool.give(node);
    return failure(net_error::limit_reached);
  }
  auto const head = node->packet.push_header(header_bytes);
  std::memcpy(head.data(), packet.data(), header_bytes);
  if (!is_v6) {
    wire::store16(head, 10, 0);
    wire::checksum sum;
    sum.add(head);
    wire::store16(head, 10, sum.finish());
  }
  ++counters.raw_out;
  send_on_link(node, way);
  return {};
}

}  // namespace morgana::net

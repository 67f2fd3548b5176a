// UDP in and out (RFC 768, RFC 8200 8.1, RFC 8085).
#include <algorithm>
#include <array>
#include <cstring>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/udp.hpp"

namespace morgana::net {
namespace {

constexpr auto udp_number = static_cast<std::uint8_t>(wire::protocol::udp);
constexpr std::size_t checksum_place = 6;
constexpr std::uint8_t code_v4_port = 3;
constexpr std::uint8_t code_v6_port = 4;

}  // namespace

void core::implementation::udp_input(host::received_packet const& in) {
  auto& packet = in.packet;
  std::array<std::byte, wire::udp_header::size_bytes> scratch;
  auto const available = packet.size() - in.header_bytes;
  auto bytes = packet.front_piece();
  if (bytes.size() >= in.header_bytes + scratch.size()) {
    bytes = bytes.subspan(in.header_bytes);
  } else {
    bytes = packet.copy_out(in.header_bytes, scratch) ? std::span<std::byte const>(scratch) : std::span<std::byte const>();
  }
  auto const header = wire::udp_header::parse(bytes, available);
  if (!header) {
    ++counters.malformed;
    return;
  }
  // What lies beyond the datagram is not part of it.
  if (available > header->total_bytes) packet.drop_back(available - header->total_bytes);
  bool const is_v6 = in.source.is_v6();
  if (packet.checksum == checksum_state::unchecked && (header->checksum != 0 || is_v6)) {
    wire::checksum sum;
    sum.add_pseudo_header(in.source, in.destination, udp_number, header->total_bytes);
    host::add_to_checksum(sum, packet, in.header_bytes);
    if (header->checksum == 0 || sum.finish() != 0) {
      ++counters.wrong_checksums;
      return;
    }
  }
  ++counters.datagrams_in;
  auto* const port = header->destination_port == 0 ? nullptr : udp.find({in.destination, header->destination_port});
  if (port == nullptr) {
    ++counters.port_unreachable;
    return is_v6 ? send_error(in, static_cast<std::uint8_t>(wire::icmp_v6_type::destination_unreachable), code_v6_port, 0)
                 : send_error(in, static_cast<std::uint8_t>(wire::icmp_v4_type::destination_unreachable), code_v4_port, 0);
  }
  packet.drop_front(in.header_bytes + wire::udp_header::size_bytes);
  if (!udp.deliver(*port, packet, {in.source, header->source_port})) ++counters.datagrams_dropped;
}

struct core::implementation::datagram_output final : host::udp_sender {
  explicit datagram_output(implementation& of) : host(of) {}
  result<void> send_datagram(endpoint const& from, std::span<std::byte const> bytes, endpoint const& to,
                             instant at) override {
    return host.send_datagram(from, bytes, to, at);
  }
  implementation& host;
};

result<udp_port*> core::implementation::bind(endpoint const& local) {
  if (!datagram_sender) datagram_sender = std::make_unique<datagram_output>(*this);
  return udp.bind(local, *datagram_sender);
}

bool core::implementation::send_expected_datagram(endpoint const& from, std::span<std::byte const> bytes,
                                                  endpoint const& to) {
  constexpr auto headers = sizeof(host::hop::start) + wire::udp_header::size_bytes;
  if (bytes.size() + headers > segment_headroom_bytes || configuration.device.transmit_checksum) return false;
  auto const& way = path_for(to.address);
  if (now >= way.good_until || !way.has_start || from.address != way.source || to.port == 0) return false;
  auto* const node = pool.take();
  if (node == nullptr) return false;
  auto& packet = node->packet;
  auto const datagram = packet.push_header(bytes.size() + wire::udp_header::size_bytes);
  auto const size = static_cast<std::uint16_t>(datagram.size());
  wire::store16(datagram, 0, from.port);
  wire::store16(datagram, 2, to.port);
  wire::store32(datagram, 4, std::uint32_t{size} << 16);
  if (!bytes.empty()) std::memcpy(datagram.data() + wire::udp_header::size_bytes, bytes.data(), bytes.size());
  wire::checksum sum;
  sum.add_pseudo_header(from.address, to.address, udp_number, size);
  sum.add(datagram);
  auto const finished = sum.finish();
  wire::store16(datagram, checksum_place, finished == 0 ? std::uint16_t{0xffff} : finished);
  push_start(packet, way, wire::protocol::udp, 0);
  ++counters.datagrams_out;
  output.push(node);
  return true;
}

result<void> core::implementation::send_datagram(endpoint const& from, std::span<std::byte const> bytes,
                                                 endpoint const& to, instant at) {
  now = at;
  if (send_expected_datagram(from, bytes, to)) return {};
  bool const is_v6 = to.address.is_v6();
  bool const same_family = from.address.is_unspecified() ? from.address.is_v6() || !is_v6
                                                         : from.address.is_v6() == is_v6;
  if (to.port == 0 || !same_family || to.address.is_unspecified()) return failure(net_error::invalid_address);
  // A segment holds one whole IP packet, so IPv6 datagrams end a little before their length field does.
  auto const ip_header = is_v6 ? wire::ipv6_header::size_bytes + wire::ipv6_fragment::size_bytes
                               : std::size_t{wire::ipv4_header::size_bytes};
  auto const most = 65'535 - wire::udp_header::size_bytes - ip_header;
  if (bytes.size() > most) return failure(net_error::message_too_long, static_cast<std::int64_t>(most));
  auto const& way = path_for(to.address);
  if (way.kind == host::hop::kind::none) {
    ++counters.no_route;
    return failure(net_error::unreachable);
  }
  bool const is_bound = !from.address.is_unspecified() && !from.address.is_multicast();
  auto const source = is_bound ? from.address : way.source;
  auto const header_bytes = is_v6 ? wire::ipv6_header::size_bytes : wire::ipv4_header::size_bytes;
  bool const whole = bytes.size() + wire::udp_header::size_bytes + header_bytes <= way.mtu_bytes;
  bool const local = way.kind == host::hop::kind::local;

  wire::udp_header header{from.port, to.port, static_cast<std::uint16_t>(bytes.size() + wire::udp_header::size_bytes), 0};
  wire::checksum sum;
  sum.add_pseudo_header(source, to.address, udp_number, header.total_bytes);
  std::array<std::byte, wire::udp_header::size_bytes> head;
  bool const leave_to_device = whole && !local && configuration.device.transmit_checksum;
  if (leave_to_device) {
    header.checksum = sum.partial();
    header.emit(head);
  } else {
    header.emit(head);
    if (!local || !whole) {
      sum.add(head);
      sum.add(bytes);
      // RFC 768: an all-zero sum goes out as all ones, zero means none.
      auto const finished = sum.finish();
      wire::store16(head, checksum_place, finished == 0 ? std::uint16_t{0xffff} : finished);
    }
  }
  if (!features::fragments && !whole) {
    auto const room = way.mtu_bytes - wire::udp_header::size_bytes - header_bytes;
    return failure(net_error::message_too_long, static_cast<std::int64_t>(room));
  }
  host::ip_output const out{source, to.address, wire::protocol::udp,
                            to.address.is_multicast() ? std::uint8_t{1} : default_hop_limit(is_v6)};
  ++counters.datagrams_out;
  if (!whole) {
    auto const copy = way;
    return send_large_datagram(out, copy, head, bytes);
  }
  auto* const node = take_packet();
  if (node == nullptr) return failure(net_error::limit_reached, configuration.limits.transmit_queue_packets);
  auto& packet = node->packet;
  // A small payload lies in the header room, behind the headers that are still to come: no buffer is taken.
  auto const link_bytes = wire::ethernet_header::size_bytes + (configuration.vlan ? wire::ethernet_header::vlan_bytes : 0);
  if (bytes.size() + head.size() + header_bytes + link_bytes <= segment_headroom_bytes) {
    if (!bytes.empty()) std::memcpy(packet.push_header(bytes.size()).data(), bytes.data(), bytes.size());
  } else if (!append_copy(packet, bytes)) {
    pool.give(node);
    return failure(net_error::limit_reached);
  }
  std::memcpy(packet.push_header(head.size()).data(), head.data(), head.size());
  if (leave_to_device) {
    packet.checksum = checksum_state::partial;
    packet.checksum_offset = checksum_place;
  }
  // The path was looked up a moment ago; going on from there saves doing it again.
  auto& to_hop = path_for(to.address);
  push_ip(packet, out, to_hop, 0, false);
  send_on_link(node, to_hop);
  return {};
}

/// In fragments, all or none: a datagram that lacks one is lost.
result<void> core::implementation::send_large_datagram(host::ip_output const& out, host::hop const& to,
                                                       std::span<std::byte const> head,
                                                       std::span<std::byte const> bytes) {
  auto const total = head.size() + bytes.size();
  auto const most = fragment_bytes(to);
  auto const parts = (total + most - 1) / most;
  if (pool.used() + parts > configuration.limits.transmit_queue_packets) {
    ++counters.transmit_queue_full;
    return failure(net_error::limit_reached, configuration.limits.transmit_queue_packets);
  }
  auto const identification = identifications.next(out.source, out.destination);
  for (std::size_t at = 0; at < total; at += most) {
    auto const size = std::min(most, total - at);
    auto* const node = take_packet();
    if (node == nullptr) return failure(net_error::limit_reached);
    // The first fragment has the UDP header, which fits into any.
    auto const of_head = at == 0 ? head.size() : 0;
    auto const payload = bytes.subspan(at + of_head - head.size(), size - of_head);
    if (!append_copy(node->packet, payload)) {
      pool.give(node);
      return failure(net_error::limit_reached);
    }
    if (of_head != 0) std::memcpy(node->packet.push_header(of_head).data(), head.data(), of_head);
    send_fragment(out, to, node, at, at + size < total, identification);
  }
  return {};
}

}  // namespace morgana::net

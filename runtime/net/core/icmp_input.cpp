// ICMP in: echo answered, replies and errors told to whom they concern (RFC 792, RFC 1122 3.2.2, RFC 4443).
#include <algorithm>
#include <array>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

using soft_error = tcp::engine::soft_error;

constexpr std::uint8_t v4(wire::icmp_v4_type type) { return static_cast<std::uint8_t>(type); }
constexpr std::uint8_t v6(wire::icmp_v6_type type) { return static_cast<std::uint8_t>(type); }

// RFC 792, RFC 1191.
constexpr std::uint8_t code_v4_protocol = 2, code_v4_port = 3, code_v4_too_big = 4;
// RFC 4443 3.1.
constexpr std::uint8_t code_v6_port = 4;

}  // namespace

bool core::implementation::icmp_checksum_is_right(host::received_packet const& in) {
  if (in.looped) return true;
  wire::checksum sum;
  if (in.source.is_v6()) {
    sum.add_pseudo_header(in.source, in.destination, static_cast<std::uint8_t>(wire::protocol::icmp_v6),
                          static_cast<std::uint32_t>(in.packet.size() - in.header_bytes));
  }
  host::add_to_checksum(sum, in.packet, in.header_bytes);
  if (sum.finish() == 0) return true;
  ++counters.wrong_checksums;
  return false;
}

void core::implementation::icmp_v4_input(host::received_packet const& in) {
  std::array<std::byte, wire::icmp_header::size_bytes> bytes;
  auto const header = in.packet.copy_out(in.header_bytes, bytes)
                          ? wire::icmp_header::parse(bytes)
                          : wire::parsed<wire::icmp_header>(std::unexpected(wire::parse_error::too_short));
  if (!header) {
    ++counters.malformed;
    return;
  }
  if (!icmp_checksum_is_right(in)) return;
  if (header->type == v4(wire::icmp_v4_type::echo_request) && header->code == 0) {
    // RFC 1122 3.2.2.6 lets a host ignore what was sent to many.
    return in.to_group ? void(++counters.frames_dropped) : echo_input(in, *header, true);
  }
  if (header->type == v4(wire::icmp_v4_type::echo_reply)) return echo_input(in, *header, false);
  if (header->type == v4(wire::icmp_v4_type::destination_unreachable) ||
      header->type == v4(wire::icmp_v4_type::time_exceeded) ||
      header->type == v4(wire::icmp_v4_type::parameter_problem)) {
    return error_input(in, *header);
  }
  // Routes of ours are set, not learned: who could send a redirect could as well answer our ARP.
  if (header->type == v4(wire::icmp_v4_type::redirect)) ++counters.redirects_ignored;
}

void core::implementation::icmp_v6_input(host::received_packet const& in) {
  std::array<std::byte, wire::icmp_header::size_bytes> bytes;
  auto const header = in.packet.copy_out(in.header_bytes, bytes)
                          ? wire::icmp_header::parse(bytes)
                          : wire::parsed<wire::icmp_header>(std::unexpected(wire::parse_error::too_short));
  if (!header) {
    ++counters.malformed;
    return;
  }
  if (!icmp_checksum_is_right(in)) return;
  if (header->type == v6(wire::icmp_v6_type::echo_request)) return echo_input(in, *header, true);
  if (header->type == v6(wire::icmp_v6_type::echo_reply)) return echo_input(in, *header, false);
  // RFC 4443 2.1: errors have the high bit clear, unknown ones are passed on to the upper layer.
  if (header->type < 128) return error_input(in, *header);
  if (header->type == v6(wire::icmp_v6_type::listener_query)) return listener_query_input(in);
  // RFC 6980 5: in fragments they could hide from whoever guards the link.
  bool const is_discovery = header->type >= v6(wire::icmp_v6_type::router_solicitation) &&
                            header->type <= v6(wire::icmp_v6_type::redirect);
  if (is_discovery && in.fragmented) return void(++counters.malformed);
  (void)discovery_input(in, header->type, header->code);
}

void core::implementation::echo_input(host::received_packet const& in, wire::icmp_header const& header,
                                      bool is_request) {
  if (!is_request) {
    if (echo_count == echoes.size()) return void(++counters.datagrams_dropped);
    echoes[(echo_first + echo_count++) % echoes.size()] = {in.source, header.identifier(), header.sequence()};
    return;
  }
  if (in.source.is_unspecified()) return void(++counters.frames_dropped);
  // RFC 4443 4.2: a multicast echo is answered from a unicast address, at the rate of errors.
  auto from = in.destination;
  if (in.to_group) {
    auto const mine = addresses.source_for(in.source, std::nullopt);
    if (!mine || !error_limiter.allow(in.source, now)) return void(++counters.icmp_errors_suppressed);
    from = *mine;
  }
  auto* const reply = take_packet();
  if (reply == nullptr) return;
  reply->packet = std::move(in.packet);
  reply->packet.drop_front(in.header_bytes + wire::icmp_header::size_bytes);
  reply->packet.checksum = checksum_state::unchecked;
  reply->packet.gso_size = 0;
  wire::icmp_header answer = header;
  answer.type = in.source.is_v6() ? v6(wire::icmp_v6_type::echo_reply) : v4(wire::icmp_v4_type::echo_reply);
  answer.checksum = 0;
  auto const room = reply->packet.push_header(wire::icmp_header::size_bytes);
  answer.emit(room);
  ++counters.echo_replies;
  send_icmp(reply, from, in.source);
}

void core::implementation::error_input(host::received_packet const& in, wire::icmp_header const& header) {
  ++counters.icmp_errors_received;
  // The longest IP header with options or extensions, and eight bytes.
  std::array<std::byte, 60 + wire::extension_bytes_max + 24> scratch;
  auto const at = in.header_bytes + wire::icmp_header::size_bytes;
  auto const size = std::min(scratch.size(), in.packet.size() - at);
  auto const bytes = std::span(scratch).first(size);
  bool const is_v6 = in.source.is_v6();
  if (!in.packet.copy_out(at, bytes)) return;
  auto const about = wire::parse_quote(bytes, is_v6);
  if (!about) {
    ++counters.malformed;
    return;
  }
  auto what = soft_error::unreachable;
  std::uint32_t mtu = 0;
  if (is_v6) {
    if (header.type == v6(wire::icmp_v6_type::packet_too_big)) {
      what = soft_error::too_big;
      mtu = path_mtus.plausible(true, header.rest, 0);
    } else if (header.type == v6(wire::icmp_v6_type::destination_unreachable) && header.code == code_v6_port) {
      what = soft_error::refused;
    } else if (header.type == v6(wire::icmp_v6_type::parameter_problem) && header.code == 1) {
      what = soft_error::refused;    // nobody there knows the protocol
    }
  } else if (header.type == v4(wire::icmp_v4_type::destination_unreachable)) {
    if (header.code == code_v4_too_big) {
      what = soft_error::too_big;
      mtu = path_mtus.plausible(false, header.rest & 0xffffu, wire::load16(bytes, 2));
    } else if (header.code == code_v4_protocol || header.code == code_v4_port) {
      what = soft_error::refused;
    }
  }
  deliver_error(*about, what, mtu);
}

void core::implementation::deliver_error(wire::quoted_packet const& about, soft_error what, std::uint32_t mtu_bytes) {
  // Only what we could have sent, to somebody it could have gone to (RFC 5927 3, RFC 1122 3.2.2).
  if (!addresses.is_ours(about.source) || about.destination.is_multicast() || addresses.is_broadcast(about.destination)) {
    return;
  }
  auto const protocol = static_cast<wire::protocol>(about.protocol);
  if (protocol == wire::protocol::tcp && about.tcp_sequence) {
    // TCP knows whether it has that in flight. If so, the path's size is every connection's to that destination, and
    // is kept beyond the timeout after which this one asks for it again (RFC 8201 5.2).
    auto const is_believed = tcp_engine.on_icmp({about.source, about.destination, 0}, about.source_port,
                                                about.destination_port, *about.tcp_sequence, what, mtu_bytes, now);
    if (is_believed && what == soft_error::too_big && mtu_bytes < link_mtu(about.destination.is_v6()) &&
        path_mtus.reduce(about.destination, mtu_bytes, now)) {
      ++counters.path_mtu_reduced;
      ++generation;
    }
    return;
  }
  if (protocol != wire::protocol::udp) return;
  auto* const port = udp.find({about.source, about.source_port});
  if (port == nullptr) return;
  switch (what) {
    case soft_error::refused:
      return udp.report(*port, net_error::refused, 0);
    case soft_error::unreachable:
      return udp.report(*port, net_error::unreachable, 0);
    case soft_error::too_big:
      if (mtu_bytes >= link_mtu(about.destination.is_v6())) return;
      if (!path_mtus.reduce(about.destination, mtu_bytes, now)) return;
      ++counters.path_mtu_reduced;
      ++generation;
      // What is sent from now on is fragmented; what was sent is lost.
      return udp.report(*port, net_error::message_too_long, mtu_bytes);
  }
}

}  // namespace morgana::net

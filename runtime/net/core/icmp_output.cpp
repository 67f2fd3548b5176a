// ICMP out: errors under the rules of RFC 1122 3.2.2 and RFC 4443 2.4, and our own echo requests.
#include <algorithm>
#include <array>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net {
namespace {

/// RFC 1812 4.3.2.3; RFC 4443 2.4 c: as much of the packet as fits into the family's minimum.
constexpr std::size_t error_bytes_max_v4 = 576;
constexpr std::size_t error_bytes_max_v6 = host::ipv6_mtu_min;

}  // namespace

bool core::implementation::may_answer_with_error(host::received_packet const& about, std::uint8_t type,
                                                 std::uint8_t code) {
  // Never about an error, a group (but for two kinds over IPv6), or to nobody in particular.
  bool const is_v6 = about.source.is_v6();
  bool const unknown_option = is_v6 && type == static_cast<std::uint8_t>(wire::icmp_v6_type::parameter_problem) && code == 2;
  if (about.to_group && !unknown_option) return false;
  if (about.source.is_unspecified() || about.source.is_multicast()) return false;
  if (about.protocol != wire::protocol::icmp_v4 && about.protocol != wire::protocol::icmp_v6) return true;
  std::array<std::byte, 1> first;
  if (!about.packet.copy_out(about.header_bytes, first)) return false;
  auto const quoted = static_cast<std::uint8_t>(first[0]);
  if (is_v6) return quoted >= 128 && quoted != static_cast<std::uint8_t>(wire::icmp_v6_type::redirect);
  return quoted == static_cast<std::uint8_t>(wire::icmp_v4_type::echo_request) ||
         quoted == static_cast<std::uint8_t>(wire::icmp_v4_type::echo_reply);
}

void core::implementation::send_error(host::received_packet const& about, std::uint8_t type, std::uint8_t code,
                                      std::uint32_t rest) {
  if (!may_answer_with_error(about, type, code)) return;
  auto from = about.destination;
  if (about.to_group) {
    auto const mine = addresses.source_for(about.source, std::nullopt);
    if (!mine) return;
    from = *mine;
  }
  std::array<std::byte, error_bytes_max_v6> quote;
  auto const most = (about.source.is_v6() ? error_bytes_max_v6 - wire::ipv6_header::size_bytes
                                          : error_bytes_max_v4 - wire::ipv4_header::size_bytes) -
                    wire::icmp_header::size_bytes;
  auto const bytes = std::span(quote).first(std::min(most, about.packet.size()));
  if (about.packet.copy_out(0, bytes)) send_error(about.source, from, bytes, type, code, rest);
}

void core::implementation::send_error(ip_address const& to, ip_address const& from, std::span<std::byte const> quote,
                                      std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  if (!error_limiter.allow(to, now)) {
    ++counters.icmp_errors_suppressed;
    return;
  }
  auto* const node = take_packet();
  if (node == nullptr) return;
  if (!append_copy(node->packet, quote)) return pool.give(node);
  wire::icmp_header header;
  header.type = type;
  header.code = code;
  header.rest = rest;
  header.emit(node->packet.push_header(wire::icmp_header::size_bytes));
  ++counters.icmp_errors_sent;
  send_icmp(node, from, to);
}

void core::implementation::send_icmp(host::queued_packet* message, ip_address const& source,
                                     ip_address const& destination, std::uint8_t hop_limit, bool router_alert) {
  bool const is_v6 = destination.is_v6();
  auto const protocol = is_v6 ? wire::protocol::icmp_v6 : wire::protocol::icmp_v4;
  wire::checksum sum;
  if (is_v6) {
    sum.add_pseudo_header(source, destination, static_cast<std::uint8_t>(protocol),
                          static_cast<std::uint32_t>(message->packet.size()));
  }
  host::add_to_checksum(sum, message->packet, 0);
  wire::store16(message->packet.header(), 2, sum.finish());
  (void)send({source, destination, protocol, hop_limit, 0, router_alert}, message);
}

result<void> core::implementation::ping(ip_address const& to, std::uint16_t identifier, std::uint16_t sequence,
                                        std::size_t payload_bytes) {
  if (payload_bytes + wire::icmp_header::size_bytes + wire::ipv4_header::size_bytes > 65'535) {
    return failure(net_error::message_too_long, 65'535);
  }
  auto const source = way_to(to);
  if (!source) return failure(net_error::unreachable);
  auto* const node = take_packet();
  if (node == nullptr) return failure(net_error::limit_reached, configuration.limits.transmit_queue_packets);
  std::array<std::byte, 256> pattern;
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(i);
  for (auto left = payload_bytes; left != 0;) {
    auto const size = std::min(left, buffers.buffer_bytes());
    auto part = buffers.take_slice(size);
    auto const bytes = part.writable();
    if (part.size() == 0 || !node->packet.append(std::move(part))) {
      ++counters.no_buffers;
      pool.give(node);
      return failure(net_error::limit_reached);
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern[i % pattern.size()];
    left -= size;
  }
  wire::icmp_header header;
  header.type = to.is_v6() ? static_cast<std::uint8_t>(wire::icmp_v6_type::echo_request)
                           : static_cast<std::uint8_t>(wire::icmp_v4_type::echo_request);
  header.rest = std::uint32_t{identifier} << 16 | sequence;
  header.emit(node->packet.push_header(wire::icmp_header::size_bytes));
  send_icmp(node, source->source, to);
  return {};
}

}  // namespace morgana::net

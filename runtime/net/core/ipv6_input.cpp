// IPv6 in: the fixed header, extension headers within their limits, fragments (RFC 8200, RFC 6946, RFC 7112).
#include <algorithm>
#include <array>

#include "implementation.hpp"
#include "morgana/net/wire/bytes.hpp"

namespace morgana::net {
namespace {

constexpr auto parameter_problem = static_cast<std::uint8_t>(wire::icmp_v6_type::parameter_problem);
constexpr std::uint8_t code_erroneous_field = 0;
constexpr std::uint8_t code_incomplete_chain = 3;      ///< RFC 7112 5
constexpr std::uint32_t pointer_payload_length = 4;

bool is_extension(wire::protocol next) {
  return next == wire::protocol::hop_by_hop || next == wire::protocol::routing || next == wire::protocol::fragment ||
         next == wire::protocol::destination_options;
}

/// Bytes of upper header that the first fragment must hold.
std::size_t upper_bytes(wire::protocol upper) {
  switch (upper) {
    case wire::protocol::tcp:
      return 20;
    case wire::protocol::udp:
    case wire::protocol::icmp_v6:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

void core::implementation::ipv6_input(segment& packet, bool link_group, bool looped) {
  std::array<std::byte, wire::ipv6_header::size_bytes + wire::extension_bytes_max + 8> scratch;
  auto const first = host::leading(packet, wire::ipv6_header::size_bytes, scratch);
  auto const header = wire::ipv6_header::parse(first, packet.size());
  if (!header) {
    ++counters.malformed;
    return;
  }
  ip_address const source = header->source;
  ip_address const destination = header->destination;
  bool const is_known =
      accepted.generation == generation && !link_group && !looped && accepted.is(source, destination);
  bool const is_group = destination.is_multicast();
  if (!is_known) {
    // RFC 4291 2.5.3, 2.7: what cannot be a source, or only within the host. ff00::/16 is reserved.
    bool const impossible = source.is_multicast() || (source.is_loopback() && !looped) ||
                            (destination.is_loopback() && !looped) || destination.is_unspecified() ||
                            (!looped && addresses.is_ours(source) && !is_group) ||
                            (is_group && (header->destination.bytes[1] & 0x0f) == 0);
    if (impossible) {
      ++counters.malformed;
      return;
    }
    // An address that is still being asked for hears neighbour discovery, which goes to groups.
    bool const ours = is_group ? accepts_group(destination) : is_local(destination);
    if (!ours || (link_group && !is_group)) {
      ++counters.not_for_us;
      return;
    }
    if (!is_group && !looped) accept(source, destination);
  }
  auto const total = wire::ipv6_header::size_bytes + header->payload_bytes;
  if (packet.size() > total) packet.drop_back(packet.size() - total);
  host::received_packet in{packet,
                           source,
                           destination,
                           header->next_header,
                           wire::ipv6_header::size_bytes,
                           header->traffic_class,
                           header->hop_limit,
                           link_group || is_group,
                           looped};
  if (!is_extension(header->next_header)) return deliver(in);

  auto const bytes = host::leading(packet, scratch.size(), scratch);
  auto const found = wire::parse_extensions(header->next_header,
                                            bytes.first(std::min(bytes.size(), packet.size()))
                                                .subspan(wire::ipv6_header::size_bytes), is_group);
  if (!found) {
    ++counters.malformed;
    return;
  }
  if (found->must_report) send_error(in, parameter_problem, found->must_report->code, found->must_report->pointer);
  if (found->must_drop) {
    ++counters.frames_dropped;
    return;
  }
  in.header_bytes += found->bytes;
  in.protocol = found->upper;
  in.fragmented = found->fragment.has_value();
  // RFC 6946: a datagram in one fragment is nobody else's business.
  bool const is_atomic = found->fragment && found->fragment->offset_bytes == 0 && !found->fragment->more_fragments;
  if (!found->fragment || is_atomic) return deliver(in);

  ++counters.fragments_in;
  if (!features::fragments) {
    ++counters.frames_dropped;
    return;
  }
  auto const& part = *found->fragment;
  // What follows the fragment header, whatever it is, is the fragment.
  auto const payload = packet.size() - in.header_bytes;
  if (part.more_fragments && payload % 8 != 0) {
    ++counters.malformed;
    return send_error(in, parameter_problem, code_erroneous_field, pointer_payload_length);
  }
  if (part.offset_bytes + payload > 65'535) {
    ++counters.malformed;
    return send_error(in, parameter_problem, code_erroneous_field,
                      static_cast<std::uint32_t>(in.header_bytes - wire::ipv6_fragment::size_bytes + 2));
  }
  if (part.offset_bytes == 0 && payload < upper_bytes(part.next_header)) {
    ++counters.malformed;
    return send_error(in, parameter_problem, code_incomplete_chain, 0);
  }
  host::fragment_key const key{source, destination, part.identification, 0};
  auto const outcome = fragments.add(key, part.offset_bytes, part.more_fragments, in.header_bytes, packet, now);
  if (outcome != host::reassembly::outcome::complete) return;
  // The fragment header stays, as that of an atomic fragment; what follows it is looked at once more.
  auto const whole = packet.slices()[0].writable();
  auto at = std::size_t{wire::ipv6_header::size_bytes};
  auto next = static_cast<wire::protocol>(wire::load8(whole, 6));
  while (next != wire::protocol::fragment && at + 8 <= whole.size()) {
    next = static_cast<wire::protocol>(wire::load8(whole, at));
    at += (std::size_t{wire::load8(whole, at + 1)} + 1) * 8;
  }
  if (at + 8 > whole.size() || packet.size() - wire::ipv6_header::size_bytes > 65'535) {
    ++counters.malformed;
    return;
  }
  wire::store16(whole, at + 2, 0);
  wire::store16(whole, 4, static_cast<std::uint16_t>(packet.size() - wire::ipv6_header::size_bytes));
  packet.checksum = checksum_state::unchecked;
  ipv6_input(packet, link_group, looped);
}

}  // namespace morgana::net

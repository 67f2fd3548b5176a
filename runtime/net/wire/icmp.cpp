#include "morgana/net/wire/icmp.hpp"

#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/ip.hpp"

namespace morgana::net::wire {

void icmp_header::emit(std::span<std::byte> into) const {
  store8(into, 0, type);
  store8(into, 1, code);
  store16(into, 2, checksum);
  store32(into, 4, rest);
}

parsed<icmp_header> icmp_header::parse(std::span<std::byte const> message) {
  if (message.size() < size_bytes) return std::unexpected(parse_error::too_short);
  return icmp_header{load8(message, 0), load8(message, 1), load16(message, 2), load32(message, 4)};
}

parsed<quoted_packet> parse_quote(std::span<std::byte const> quoted, bool is_v6) {
  quoted_packet found;
  std::size_t header_bytes = 0;
  if (is_v6) {
    if (quoted.size() < ipv6_header::size_bytes) return std::unexpected(parse_error::too_short);
    if (load8(quoted, 0) >> 4 != 6) return std::unexpected(parse_error::wrong_version);
    found.source = ipv6_address{load_array<16>(quoted, 8)};
    found.destination = ipv6_address{load_array<16>(quoted, 24)};
    auto const walked = parse_extensions(static_cast<protocol>(load8(quoted, 6)),
                                         quoted.subspan(ipv6_header::size_bytes), false);
    if (!walked) return std::unexpected(walked.error());
    found.protocol = static_cast<std::uint8_t>(walked->upper);
    header_bytes = ipv6_header::size_bytes + walked->bytes;
  } else {
    if (quoted.size() < ipv4_header::size_bytes) return std::unexpected(parse_error::too_short);
    if (load8(quoted, 0) >> 4 != 4) return std::unexpected(parse_error::wrong_version);
    header_bytes = static_cast<std::size_t>(load8(quoted, 0) & 0x0f) * 4;
    if (header_bytes < ipv4_header::size_bytes) return std::unexpected(parse_error::wrong_header_length);
    found.source = ipv4_address{load_array<4>(quoted, 12)};
    found.destination = ipv4_address{load_array<4>(quoted, 16)};
    found.protocol = load8(quoted, 9);
  }
  // Eight bytes of the upper header are always quoted (RFC 792; RFC 4443 quotes more).
  if (quoted.size() < header_bytes + 8) return std::unexpected(parse_error::too_short);
  auto const upper = static_cast<protocol>(found.protocol);
  if (upper == protocol::tcp || upper == protocol::udp) {
    found.source_port = load16(quoted, header_bytes);
    found.destination_port = load16(quoted, header_bytes + 2);
  }
  if (upper == protocol::tcp) found.tcp_sequence = load32(quoted, header_bytes + 4);
  return found;
}

}  // namespace morgana::net::wire

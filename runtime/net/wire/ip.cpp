#include "morgana/net/wire/ip.hpp"

#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"

namespace morgana::net::wire {
namespace {

constexpr std::uint16_t flag_do_not_fragment = 0x4000;
constexpr std::uint16_t flag_more_fragments = 0x2000;
constexpr std::uint16_t fragment_offset_mask = 0x1fff;

/// IPv4 options are skipped, but their lengths must be right (RFC 791 3.1).
bool options_are_well_formed(std::span<std::byte const> options) {
  std::size_t at = 0;
  while (at < options.size()) {
    auto const kind = load8(options, at);
    if (kind == 0) return true;  // end of options
    if (kind == 1) {             // no operation
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) return false;
    auto const length = load8(options, at + 1);
    if (length < 2 || at + length > options.size()) return false;
    at += length;
  }
  return true;
}

/// What the two high bits of an unknown option ask for (RFC 8200 4.2).
enum class unknown_option : std::uint8_t { skip = 0, drop = 1, report = 2, report_unless_multicast = 3 };

constexpr std::uint8_t option_pad1 = 0;
constexpr std::uint8_t option_padn = 1;
constexpr std::uint8_t option_router_alert = 5;
constexpr std::uint8_t problem_unrecognized_next_header = 1;
constexpr std::uint8_t problem_unrecognized_option = 2;

}  // namespace

void ipv4_header::emit(std::span<std::byte> into) const {
  store8(into, 0, 0x45);
  store8(into, 1, traffic_class);
  store16(into, 2, total_bytes);
  store16(into, 4, identification);
  auto flags = static_cast<std::uint16_t>(fragment_offset_bytes / 8);
  if (do_not_fragment) flags |= flag_do_not_fragment;
  if (more_fragments) flags |= flag_more_fragments;
  store16(into, 6, flags);
  store8(into, 8, hop_limit);
  store8(into, 9, static_cast<std::uint8_t>(protocol));
  store16(into, 10, 0);
  store_array(into, 12, source.bytes);
  store_array(into, 16, destination.bytes);
  checksum sum;
  sum.add(into.first(size_bytes));
  store16(into, 10, sum.finish());
}

parsed<ipv4_header> ipv4_header::parse(std::span<std::byte const> packet, std::size_t available) {
  if (packet.size() < size_bytes) return std::unexpected(parse_error::too_short);
  auto const first = load8(packet, 0);
  if (first >> 4 != 4) return std::unexpected(parse_error::wrong_version);
  ipv4_header header;
  header.header_bytes = static_cast<std::uint16_t>((first & 0x0f) * 4);
  if (header.header_bytes < size_bytes || header.header_bytes > packet.size()) {
    return std::unexpected(parse_error::wrong_header_length);
  }
  header.total_bytes = load16(packet, 2);
  if (header.total_bytes < header.header_bytes || header.total_bytes > available) {
    return std::unexpected(parse_error::wrong_length);
  }
  checksum sum;
  sum.add(packet.first(header.header_bytes));
  if (sum.finish() != 0) return std::unexpected(parse_error::wrong_checksum);
  if (header.header_bytes > size_bytes &&
      !options_are_well_formed(packet.subspan(size_bytes, header.header_bytes - size_bytes))) {
    return std::unexpected(parse_error::wrong_option);
  }
  header.traffic_class = load8(packet, 1);
  header.identification = load16(packet, 4);
  auto const flags = load16(packet, 6);
  header.do_not_fragment = (flags & flag_do_not_fragment) != 0;
  header.more_fragments = (flags & flag_more_fragments) != 0;
  header.fragment_offset_bytes = static_cast<std::uint16_t>((flags & fragment_offset_mask) * 8);
  header.hop_limit = load8(packet, 8);
  header.protocol = static_cast<wire::protocol>(load8(packet, 9));
  header.source.bytes = load_array<4>(packet, 12);
  header.destination.bytes = load_array<4>(packet, 16);
  return header;
}

void ipv6_header::emit(std::span<std::byte> into) const {
  store32(into, 0, 6u << 28 | std::uint32_t{traffic_class} << 20 | (flow_label & 0xfffffu));
  store16(into, 4, payload_bytes);
  store8(into, 6, static_cast<std::uint8_t>(next_header));
  store8(into, 7, hop_limit);
  store_array(into, 8, source.bytes);
  store_array(into, 24, destination.bytes);
}

parsed<ipv6_header> ipv6_header::parse(std::span<std::byte const> packet, std::size_t available) {
  if (packet.size() < size_bytes) return std::unexpected(parse_error::too_short);
  auto const first = load32(packet, 0);
  if (first >> 28 != 6) return std::unexpected(parse_error::wrong_version);
  ipv6_header header;
  header.payload_bytes = load16(packet, 4);
  // Jumbograms (RFC 2675) are not for us: a zero length is then an empty packet.
  if (size_bytes + header.payload_bytes > available) return std::unexpected(parse_error::wrong_length);
  header.traffic_class = static_cast<std::uint8_t>(first >> 20);
  header.flow_label = first & 0xfffffu;
  header.next_header = static_cast<protocol>(load8(packet, 6));
  header.hop_limit = load8(packet, 7);
  header.source.bytes = load_array<16>(packet, 8);
  header.destination.bytes = load_array<16>(packet, 24);
  return header;
}

void ipv6_fragment::emit(std::span<std::byte> into) const {
  store8(into, 0, static_cast<std::uint8_t>(next_header));
  store8(into, 1, 0);
  store16(into, 2, static_cast<std::uint16_t>(offset_bytes | (more_fragments ? 1 : 0)));
  store32(into, 4, identification);
}

namespace {

/// The options of one hop-by-hop or destination options header; `origin` is its place in the packet.
parsed<void> walk_options(std::span<std::byte const> options, std::uint32_t origin,
                          bool destination_is_multicast, std::size_t& seen, ipv6_extensions& found) {
  std::size_t at = 0;
  while (at < options.size()) {
    auto const kind = load8(options, at);
    if (kind == option_pad1) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size()) return std::unexpected(parse_error::wrong_option);
    auto const length = std::size_t{load8(options, at + 1)};
    if (at + 2 + length > options.size()) return std::unexpected(parse_error::wrong_option);
    if (++seen > extension_options_max) return std::unexpected(parse_error::wrong_option);
    if (kind == option_router_alert) {
      found.router_alert = true;
    } else if (kind != option_padn) {
      auto const action = static_cast<unknown_option>(kind >> 6);
      if (action != unknown_option::skip) found.must_drop = true;
      bool const report = action == unknown_option::report ||
                          (action == unknown_option::report_unless_multicast && !destination_is_multicast);
      if (report && !found.must_report) {
        found.must_report = {problem_unrecognized_option, origin + static_cast<std::uint32_t>(at)};
      }
    }
    at += 2 + length;
  }
  return {};
}

}  // namespace

parsed<ipv6_extensions> parse_extensions(protocol first, std::span<std::byte const> payload,
                                         bool destination_is_multicast) {
  ipv6_extensions found;
  auto next = first;
  std::size_t at = 0;
  std::size_t headers = 0;
  std::size_t options = 0;
  auto pointer_to_next = std::uint32_t{6};  // where `next` stands in the packet
  for (;;) {
    bool const is_options = next == protocol::hop_by_hop || next == protocol::destination_options;
    if (!is_options && next != protocol::routing && next != protocol::fragment) break;
    if (++headers > extension_headers_max) return std::unexpected(parse_error::wrong_option);
    // Hop-by-hop options stand first or not at all (RFC 8200 4.1).
    if (next == protocol::hop_by_hop && at != 0) {
      found.must_drop = true;
      found.must_report = {problem_unrecognized_next_header, pointer_to_next};
      break;
    }
    if (at + 8 > payload.size()) return std::unexpected(parse_error::too_short);
    auto const origin = static_cast<std::uint32_t>(ipv6_header::size_bytes + at);
    auto const following = static_cast<protocol>(load8(payload, at));
    auto length = std::size_t{8};
    if (next == protocol::fragment) {
      auto const offset = load16(payload, at + 2);
      found.fragment = ipv6_fragment{following, static_cast<std::uint16_t>(offset & 0xfff8u),
                                     (offset & 1) != 0, load32(payload, at + 4)};
    } else {
      length = (std::size_t{load8(payload, at + 1)} + 1) * 8;
      if (at + length > payload.size()) return std::unexpected(parse_error::wrong_length);
      if (is_options) {
        auto walked = walk_options(payload.subspan(at + 2, length - 2), origin + 2, destination_is_multicast,
                                   options, found);
        if (!walked) return std::unexpected(walked.error());
      } else if (load8(payload, at + 3) != 0) {
        // A routing header with segments left, of a type nobody here knows (RFC 8200 4.4; type 0: RFC 5095).
        found.must_drop = true;
        if (!found.must_report) found.must_report = {0, origin + 2};
      }
    }
    pointer_to_next = origin;
    at += length;
    next = following;
    if (at > extension_bytes_max) return std::unexpected(parse_error::wrong_option);
    // What follows a later fragment's header is payload, not a header.
    if (found.fragment && found.fragment->offset_bytes != 0) break;
    if (found.fragment && found.fragment->more_fragments) break;
  }
  found.upper = next;
  found.bytes = at;
  return found;
}

}  // namespace morgana::net::wire

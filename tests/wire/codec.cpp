// Reads and writes wire formats on request, so that another codec can be asked the same. One command a line
// on standard input, one JSON object a line on standard output:
//
//   parse KIND HEX               fields, or {"error": ...}
//   emit KIND NAME=VALUE...      {"hex": ...}
//   checksum HEX [HEX...]        of the pieces, one after the other
//   pseudo SOURCE DESTINATION PROTOCOL HEX
//   host ...                     a whole host in virtual time (host.cpp)
#include <iostream>

#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "morgana/net/wire/udp.hpp"
#include "runtime/net/icmp/router_advertisement.hpp"
#include "tests/wire/text.hpp"

namespace wire_codec {
namespace {

using namespace morgana;
using namespace morgana::net;

std::string seconds(duration value) {
  // An infinite life is all ones on the wire.
  return std::to_string(value == duration::max() ? 0xffff'ffffll : value / 1s);
}

// ---- bytes to fields -----------------------------------------------------------------------------------

std::string parse_ethernet(bytes const& data) {
  auto const read = wire::ethernet_header::parse(data);
  if (!read) return error_object(read.error());
  object made;
  made.text("destination", printed(read->destination)).text("source", printed(read->source));
  made.number("type", static_cast<std::uint16_t>(read->type)).number("bytes", read->encoded_bytes());
  if (read->vlan) made.number("vlan", *read->vlan);
  return made.done();
}

std::string parse_arp(bytes const& data) {
  auto const read = wire::arp_packet::parse(data);
  if (!read) return error_object(read.error());
  object made;
  made.number("operation", static_cast<std::uint16_t>(read->operation));
  made.text("sender_mac", printed(read->sender_mac)).text("sender", printed(read->sender));
  made.text("target_mac", printed(read->target_mac)).text("target", printed(read->target));
  return made.flag("probe", read->is_probe()).flag("announcement", read->is_announcement()).done();
}

std::string parse_ipv4(bytes const& data) {
  auto const read = wire::ipv4_header::parse(data, data.size());
  if (!read) return error_object(read.error());
  object made;
  made.text("source", printed(read->source)).text("destination", printed(read->destination));
  made.number("protocol", static_cast<std::uint8_t>(read->protocol)).number("hop_limit", read->hop_limit);
  made.number("traffic_class", read->traffic_class).number("identification", read->identification);
  made.number("offset", read->fragment_offset_bytes).flag("more", read->more_fragments);
  made.flag("do_not_fragment", read->do_not_fragment).number("header_bytes", read->header_bytes);
  return made.number("total_bytes", read->total_bytes).done();
}

std::string parse_ipv6(bytes const& data) {
  auto const read = wire::ipv6_header::parse(data, data.size());
  if (!read) return error_object(read.error());
  object made;
  made.text("source", printed(read->source)).text("destination", printed(read->destination));
  made.number("next", static_cast<std::uint8_t>(read->next_header)).number("hop_limit", read->hop_limit);
  made.number("traffic_class", read->traffic_class).number("flow_label", read->flow_label);
  made.number("payload_bytes", read->payload_bytes);
  auto const rest = std::span(data).subspan(wire::ipv6_header::size_bytes, read->payload_bytes);
  auto const walked =
      wire::parse_extensions(read->next_header, rest, ip_address(read->destination).is_multicast());
  if (!walked) return made.text("extensions_error", to_string(walked.error())).done();
  made.number("upper", static_cast<std::uint8_t>(walked->upper)).number("extension_bytes", walked->bytes);
  made.flag("router_alert", walked->router_alert).flag("must_drop", walked->must_drop);
  if (walked->must_report) {
    made.number("problem_code", walked->must_report->code)
        .number("problem_pointer", walked->must_report->pointer);
  }
  if (walked->fragment) {
    made.number("fragment_next", static_cast<std::uint8_t>(walked->fragment->next_header));
    made.number("fragment_offset", walked->fragment->offset_bytes);
    made.flag("fragment_more", walked->fragment->more_fragments);
    made.number("fragment_identification", walked->fragment->identification);
  }
  return made.done();
}

std::string parse_icmp(bytes const& data) {
  auto const read = wire::icmp_header::parse(data);
  if (!read) return error_object(read.error());
  object made;
  made.number("type", read->type).number("code", read->code).number("checksum", read->checksum);
  return made.number("identifier", read->identifier())
      .number("sequence", read->sequence())
      .number("rest", read->rest)
      .done();
}

std::string parse_quoted(bytes const& data, bool is_v6) {
  auto const read = wire::parse_quote(data, is_v6);
  if (!read) return error_object(read.error());
  object made;
  made.text("source", printed(read->source)).text("destination", printed(read->destination));
  made.number("protocol", read->protocol).number("source_port", read->source_port);
  made.number("destination_port", read->destination_port);
  if (read->tcp_sequence) made.number("tcp_sequence", *read->tcp_sequence);
  return made.done();
}

std::string parse_udp(bytes const& data) {
  auto const read = wire::udp_header::parse(data, data.size());
  if (!read) return error_object(read.error());
  object made;
  made.number("source_port", read->source_port).number("destination_port", read->destination_port);
  return made.number("total_bytes", read->total_bytes).number("checksum", read->checksum).done();
}

std::string parse_tcp(bytes const& data) {
  auto const read = wire::tcp_header::parse(data, data.size());
  if (!read) return error_object(read.error());
  object made;
  made.number("source_port", read->source_port).number("destination_port", read->destination_port);
  made.number("sequence", read->sequence.value).number("acknowledgment", read->acknowledgment.value);
  made.number("flags", read->flags).number("window", read->window).number("checksum", read->checksum);
  made.number("urgent", read->urgent).number("header_bytes", read->header_bytes);
  auto const& options = read->options;
  if (options.maximum_segment_size) made.number("mss", *options.maximum_segment_size);
  if (options.window_scale) made.number("scale", *options.window_scale);
  made.flag("sack_permitted", options.sack_permitted);
  if (options.timestamps) {
    made.number("timestamp", options.timestamps->value).number("timestamp_echo", options.timestamps->echo);
  }
  if (options.fast_open != wire::fast_open_option::none) {
    made.hex(options.fast_open == wire::fast_open_option::standard ? "cookie" : "experimental_cookie",
             options.fast_open_cookie);
  }
  std::vector<std::string> blocks;
  for (std::size_t i = 0; i < options.sack_count; ++i) {
    blocks.push_back("[" + std::to_string(options.sack[i].left.value) + "," +
                     std::to_string(options.sack[i].right.value) + "]");
  }
  return made.raw("sack", list_of(blocks)).done();
}

std::string parse_advertisement(bytes const& data) {
  auto const read = wire::router_advertisement::parse(data);
  if (!read) return error_object(read.error());
  object made;
  made.number("hop_limit", read->hop_limit).flag("managed", read->managed).flag("other", read->other);
  made.raw("router_lifetime", seconds(read->router_lifetime));
  made.raw("reachable_ms", std::to_string(read->reachable / 1ms));
  made.raw("retransmit_ms", std::to_string(read->retransmit / 1ms));
  if (read->mtu_bytes) made.number("mtu", *read->mtu_bytes);
  if (read->link_address) made.text("link_address", printed(*read->link_address));
  std::vector<std::string> prefixes, servers;
  for (std::size_t i = 0; i < read->prefix_count; ++i) {
    auto const& one = read->prefixes[i];
    object prefix;
    prefix.text("prefix", printed(one.prefix.address)).number("bits", one.prefix.prefix_bits);
    prefix.flag("on_link", one.on_link).flag("autonomous", one.autonomous);
    prefixes.push_back(
        prefix.raw("valid", seconds(one.valid)).raw("preferred", seconds(one.preferred)).done());
  }
  for (std::size_t i = 0; i < read->name_server_count; ++i)
    servers.push_back(quoted(printed(read->name_servers[i])));
  made.raw("prefixes", list_of(prefixes)).raw("servers", list_of(servers));
  return made.raw("servers_lifetime", seconds(read->name_servers_lifetime)).done();
}

std::string parse(words const& asked) {
  auto const kind = asked.at(1);
  auto const data = from_hex(asked.at(2));
  if (kind == "ethernet") return parse_ethernet(data);
  if (kind == "arp") return parse_arp(data);
  if (kind == "ipv4") return parse_ipv4(data);
  if (kind == "ipv6") return parse_ipv6(data);
  if (kind == "icmp") return parse_icmp(data);
  if (kind == "quote4") return parse_quoted(data, false);
  if (kind == "quote6") return parse_quoted(data, true);
  if (kind == "udp") return parse_udp(data);
  if (kind == "tcp") return parse_tcp(data);
  if (kind == "advertisement") return parse_advertisement(data);
  refuse("no such format", kind);
}

// ---- fields to bytes -----------------------------------------------------------------------------------

template <class Header>
std::string emitted(Header const& header, std::size_t size) {
  bytes made(size);
  header.emit(made);
  return object().hex("hex", made).done();
}

template <class Integer>
Integer value(words const& asked, std::string_view name) {
  return static_cast<Integer>(asked.number(name));
}

std::string emit_ethernet(words const& asked) {
  wire::ethernet_header header;
  header.destination = asked.mac("destination");
  header.source = asked.mac("source");
  header.type = static_cast<wire::ether_type>(asked.number("type"));
  if (asked.has("vlan")) header.vlan = value<std::uint16_t>(asked, "vlan");
  return emitted(header, header.encoded_bytes());
}

std::string emit_arp(words const& asked) {
  wire::arp_packet packet;
  packet.operation = static_cast<wire::arp_operation>(asked.number("operation"));
  packet.sender_mac = asked.mac("sender_mac");
  packet.sender = asked.address("sender").v4();
  packet.target_mac = asked.mac("target_mac");
  packet.target = asked.address("target").v4();
  return emitted(packet, wire::arp_packet::size_bytes);
}

std::string emit_ipv4(words const& asked) {
  wire::ipv4_header header;
  header.source = asked.address("source").v4();
  header.destination = asked.address("destination").v4();
  header.protocol = static_cast<wire::protocol>(asked.number("protocol"));
  header.hop_limit = value<std::uint8_t>(asked, "hop_limit");
  header.traffic_class = value<std::uint8_t>(asked, "traffic_class");
  header.identification = value<std::uint16_t>(asked, "identification");
  header.fragment_offset_bytes = value<std::uint16_t>(asked, "offset");
  header.more_fragments = asked.number("more") != 0;
  header.do_not_fragment = asked.number("do_not_fragment") != 0;
  header.total_bytes = value<std::uint16_t>(asked, "total_bytes");
  return emitted(header, wire::ipv4_header::size_bytes);
}

std::string emit_ipv6(words const& asked) {
  wire::ipv6_header header;
  header.source = asked.address("source").v6();
  header.destination = asked.address("destination").v6();
  header.next_header = static_cast<wire::protocol>(asked.number("next"));
  header.hop_limit = value<std::uint8_t>(asked, "hop_limit");
  header.traffic_class = value<std::uint8_t>(asked, "traffic_class");
  header.flow_label = value<std::uint32_t>(asked, "flow_label");
  header.payload_bytes = value<std::uint16_t>(asked, "payload_bytes");
  return emitted(header, wire::ipv6_header::size_bytes);
}

std::string emit_fragment(words const& asked) {
  wire::ipv6_fragment header;
  header.next_header = static_cast<wire::protocol>(asked.number("next"));
  header.offset_bytes = value<std::uint16_t>(asked, "offset");
  header.more_fragments = asked.number("more") != 0;
  header.identification = value<std::uint32_t>(asked, "identification");
  return emitted(header, wire::ipv6_fragment::size_bytes);
}

std::string emit_icmp(words const& asked) {
  wire::icmp_header header;
  header.type = value<std::uint8_t>(asked, "type");
  header.code = value<std::uint8_t>(asked, "code");
  header.checksum = value<std::uint16_t>(asked, "checksum");
  header.rest = value<std::uint32_t>(asked, "rest");
  return emitted(header, wire::icmp_header::size_bytes);
}

std::string emit_udp(words const& asked) {
  wire::udp_header const header{
      value<std::uint16_t>(asked, "source_port"), value<std::uint16_t>(asked, "destination_port"),
      value<std::uint16_t>(asked, "total_bytes"), value<std::uint16_t>(asked, "checksum")};
  return emitted(header, wire::udp_header::size_bytes);
}

std::string emit_tcp(words const& asked) {
  wire::tcp_header header;
  header.source_port = value<std::uint16_t>(asked, "source_port");
  header.destination_port = value<std::uint16_t>(asked, "destination_port");
  header.sequence = {value<std::uint32_t>(asked, "sequence")};
  header.acknowledgment = {value<std::uint32_t>(asked, "acknowledgment")};
  header.flags = value<std::uint8_t>(asked, "flags");
  header.window = value<std::uint16_t>(asked, "window");
  header.urgent = value<std::uint16_t>(asked, "urgent");
  auto& options = header.options;
  if (asked.has("mss")) options.maximum_segment_size = value<std::uint16_t>(asked, "mss");
  if (asked.has("scale")) options.window_scale = value<std::uint8_t>(asked, "scale");
  options.sack_permitted = asked.number("sack_permitted") != 0;
  if (asked.has("timestamp")) {
    options.timestamps = wire::tcp_timestamps{value<std::uint32_t>(asked, "timestamp"),
                                              value<std::uint32_t>(asked, "timestamp_echo")};
  }
  for (; options.sack_count < wire::tcp_options::sack_blocks_max; ++options.sack_count) {
    auto const place = std::to_string(options.sack_count);
    if (!asked.has("left" + place)) break;
    options.sack[options.sack_count] = {{value<std::uint32_t>(asked, "left" + place)},
                                        {value<std::uint32_t>(asked, "right" + place)}};
  }
  bytes cookie;
  for (auto const* const name : {"cookie", "experimental_cookie"}) {
    if (!asked.has(name)) continue;
    options.fast_open = name[0] == 'c' ? wire::fast_open_option::standard : wire::fast_open_option::experimental;
    cookie = from_hex(asked.named(name));
    options.fast_open_cookie = cookie;
  }
  return emitted(header, header.encoded_bytes());
}

std::string emit(words const& asked) {
  auto const kind = asked.at(1);
  if (kind == "ethernet") return emit_ethernet(asked);
  if (kind == "arp") return emit_arp(asked);
  if (kind == "ipv4") return emit_ipv4(asked);
  if (kind == "ipv6") return emit_ipv6(asked);
  if (kind == "fragment") return emit_fragment(asked);
  if (kind == "icmp") return emit_icmp(asked);
  if (kind == "udp") return emit_udp(asked);
  if (kind == "tcp") return emit_tcp(asked);
  refuse("no such format", kind);
}

// ---- checksums -----------------------------------------------------------------------------------------

std::string checksum_of(std::string_view pieces) {
  wire::checksum sum;
  for (auto const end = pieces.size(); !pieces.empty();) {
    auto const next = std::min(pieces.find(' '), end);
    sum.add(from_hex(pieces.substr(0, next)));
    pieces = next < pieces.size() ? pieces.substr(next + 1) : std::string_view();
  }
  return object().number("checksum", sum.finish()).done();
}

std::string pseudo(words const& asked) {
  auto const data = from_hex(asked.at(4));
  wire::checksum sum;
  sum.add_pseudo_header(to_address(asked.at(1)), to_address(asked.at(2)),
                        static_cast<std::uint8_t>(to_number(asked.at(3))),
                        static_cast<std::uint32_t>(data.size()));
  sum.add(data);
  return object().number("checksum", sum.finish()).done();
}

}  // namespace
}  // namespace wire_codec

int main() {
  using namespace wire_codec;
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    words const asked(line);
    auto const command = asked.at(0);
    if (command == "parse") {
      std::cout << parse(asked) << '\n';
    } else if (command == "emit") {
      std::cout << emit(asked) << '\n';
    } else if (command == "checksum") {
      std::cout << checksum_of(std::string_view(line).substr(9)) << '\n';
    } else if (command == "pseudo") {
      std::cout << pseudo(asked) << '\n';
    } else if (command == "host") {
      std::cout << host_command(asked) << '\n';
    } else {
      refuse("no such command", command);
    }
    if (std::cin.rdbuf()->in_avail() == 0) std::cout.flush();
  }
}

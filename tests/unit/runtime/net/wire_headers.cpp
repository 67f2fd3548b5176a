#include <catch2/catch.hpp>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <vector>

#include "morgana/net/wire/arp.hpp"
#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "morgana/net/wire/ethernet.hpp"
#include "morgana/net/wire/icmp.hpp"
#include "morgana/net/wire/ip.hpp"
#include "morgana/net/wire/tcp.hpp"
#include "morgana/net/wire/udp.hpp"

using namespace morgana::net;
using namespace morgana::net::wire;

namespace {

std::vector<std::byte> hex(std::string_view text) {
  std::vector<std::byte> bytes;
  auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (std::size_t i = 0; i + 1 < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(static_cast<std::byte>(digit(text[i]) << 4 | digit(text[i + 1])));
    i += 2;
  }
  return bytes;
}

/// A valid IPv4 header for 8 bytes of payload, changed by `change`, with its checksum made right again.
template <class Change>
parsed<ipv4_header> changed_ipv4(Change change) {
  ipv4_header header;
  header.source = {{10, 0, 0, 1}};
  header.destination = {{10, 0, 0, 2}};
  header.total_bytes = 28;
  std::vector<std::byte> packet(28);
  header.emit(packet);
  change(packet);
  store16(packet, 10, 0);
  checksum sum;
  sum.add(std::span(packet).first(20));
  store16(packet, 10, sum.finish());
  return ipv4_header::parse(packet, packet.size());
}

}  // namespace

TEST_CASE("An Ethernet header survives the wire, with a VLAN tag and without") {
  for (auto vlan : {std::optional<std::uint16_t>(), std::optional<std::uint16_t>(100)}) {
    ethernet_header const sent{{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, ether_type::ipv6, vlan};
    std::vector<std::byte> frame(sent.encoded_bytes());
    sent.emit(frame);
    auto const read = ethernet_header::parse(frame);
    REQUIRE(read);
    CHECK(read->destination == sent.destination);
    CHECK(read->source == sent.source);
    CHECK(read->type == sent.type);
    CHECK(read->vlan == vlan);
    frame.pop_back();
    CHECK(ethernet_header::parse(frame).error() == parse_error::too_short);
  }
}

TEST_CASE("A frame with a length instead of a type is unsupported") {
  auto frame = std::vector<std::byte>(60);
  store16(frame, 12, 46);
  CHECK(ethernet_header::parse(frame).error() == parse_error::unsupported);
}

TEST_CASE("Group addresses map to Ethernet as RFC 1112 and RFC 2464 say") {
  CHECK(multicast_mac(ipv4_address{{239, 129, 2, 3}}) == mac_address{{0x01, 0x00, 0x5e, 0x01, 2, 3}});
  CHECK(multicast_mac(*ip_address::parse("ff02::1:ff00:1234")) ==
        mac_address{{0x33, 0x33, 0xff, 0x00, 0x12, 0x34}});
}

TEST_CASE("ARP probes and announcements are told from requests") {
  arp_packet packet{arp_operation::request, {{2, 0, 0, 0, 0, 1}}, {}, {}, {{10, 0, 0, 9}}};
  CHECK(packet.is_probe());
  packet.sender = packet.target;
  CHECK(packet.is_announcement());
  std::vector<std::byte> bytes(arp_packet::size_bytes);
  packet.emit(bytes);
  auto const read = arp_packet::parse(bytes);
  REQUIRE(read);
  CHECK(read->sender == packet.sender);
  CHECK(read->sender_mac == packet.sender_mac);
  store16(bytes, 0, 6);
  CHECK(arp_packet::parse(bytes).error() == parse_error::unsupported);
}

TEST_CASE("An IPv4 header that was captured is read and written back byte for byte") {
  auto const captured = hex("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7");
  auto const read = ipv4_header::parse(captured, 0x73);
  REQUIRE(read);
  CHECK(read->protocol == protocol::udp);
  CHECK(read->do_not_fragment);
  CHECK(read->payload_bytes() == 0x73 - 20);
  std::vector<std::byte> written(20);
  read->emit(written);
  CHECK(written == captured);
}

TEST_CASE("An IPv4 header that breaks a rule is refused by its name") {
  CHECK(changed_ipv4([](auto&) {}).has_value());
  CHECK(changed_ipv4([](auto& p) { store8(p, 0, 0x65); }).error() == parse_error::wrong_version);
  CHECK(changed_ipv4([](auto& p) { store8(p, 0, 0x44); }).error() == parse_error::wrong_header_length);
  CHECK(changed_ipv4([](auto& p) { store8(p, 0, 0x4f); }).error() == parse_error::wrong_header_length);
  CHECK(changed_ipv4([](auto& p) { store16(p, 2, 19); }).error() == parse_error::wrong_length);
  CHECK(changed_ipv4([](auto& p) { store16(p, 2, 29); }).error() == parse_error::wrong_length);
  auto const captured = hex("4500 0073 0000 4000 4011 b862 c0a8 0001 c0a8 00c7");
  CHECK(ipv4_header::parse(captured, 0x73).error() == parse_error::wrong_checksum);
  CHECK(ipv4_header::parse(std::span(captured).first(19), 0x73).error() == parse_error::too_short);
}

TEST_CASE("An IPv6 header and its fragment header survive the wire") {
  ipv6_header sent;
  sent.source = ip_address::parse("fe80::1")->v6();
  sent.destination = ip_address::parse("ff02::2")->v6();
  sent.next_header = protocol::fragment;
  sent.flow_label = 0xabcde;
  sent.traffic_class = 0xb8;
  sent.payload_bytes = 16;
  std::vector<std::byte> packet(56);
  sent.emit(packet);
  ipv6_fragment{protocol::udp, 1280, true, 0x12345678}.emit(std::span(packet).subspan(40));
  auto const read = ipv6_header::parse(packet, packet.size());
  REQUIRE(read);
  CHECK(read->flow_label == sent.flow_label);
  CHECK(read->traffic_class == sent.traffic_class);
  CHECK(read->destination == sent.destination);
  auto const extensions = parse_extensions(read->next_header, std::span(packet).subspan(40), false);
  REQUIRE(extensions);
  REQUIRE(extensions->fragment);
  CHECK(extensions->fragment->offset_bytes == 1280);
  CHECK(extensions->fragment->more_fragments);
  CHECK(extensions->fragment->identification == 0x12345678);
  CHECK(extensions->upper == protocol::udp);
  CHECK(ipv6_header::parse(packet, 55).error() == parse_error::wrong_length);
}

TEST_CASE("Extension headers are walked within limits") {
  // Hop-by-hop with a router alert, then UDP.
  auto const alert = hex("11 00 0502 0000 0100");
  auto found = parse_extensions(protocol::hop_by_hop, alert, true);
  REQUIRE(found);
  CHECK(found->router_alert);
  CHECK(found->upper == protocol::udp);
  CHECK(found->bytes == 8);

  // An unknown option that asks for a report, unless the destination is a group (RFC 8200 4.2).
  auto const unknown = hex("11 00 c700 0000 0000");
  CHECK(parse_extensions(protocol::destination_options, unknown, false)->must_report->pointer == 42);
  auto const to_group = parse_extensions(protocol::destination_options, unknown, true);
  CHECK(to_group->must_drop);
  CHECK_FALSE(to_group->must_report);

  // A chain that is too long, and a header that says it is longer than the packet.
  std::vector<std::byte> chain;
  for (int i = 0; i < 9; ++i) {
    auto const one = hex("3c 00 0104 0000 0000");
    chain.insert(chain.end(), one.begin(), one.end());
  }
  CHECK(parse_extensions(protocol::destination_options, chain, false).error() == parse_error::wrong_option);
  CHECK(parse_extensions(protocol::destination_options, hex("11 01 0104 0000 0000"), false).error() ==
        parse_error::wrong_length);
  CHECK(parse_extensions(protocol::destination_options, hex("11 00 01"), false).error() ==
        parse_error::too_short);
}

TEST_CASE("A TCP header is written in the order Linux writes its options") {
  tcp_header syn;
  syn.flags = tcp_syn;
  syn.options.maximum_segment_size = 1460;
  syn.options.sack_permitted = true;
  syn.options.timestamps = tcp_timestamps{1, 0};
  syn.options.window_scale = 7;
  std::vector<std::byte> bytes(syn.encoded_bytes());
  REQUIRE(bytes.size() == 40);
  syn.emit(bytes);
  CHECK(std::vector(bytes.begin() + 20, bytes.end()) == hex("020405b4 0402080a 00000001 00000000 01030307"));
  auto const read = tcp_header::parse(bytes, bytes.size());
  REQUIRE(read);
  CHECK(read->options.maximum_segment_size == 1460);
  CHECK(read->options.window_scale == 7);
  CHECK(read->options.sack_permitted);
  CHECK(read->options.timestamps == tcp_timestamps{1, 0});

  tcp_header without;
  without.flags = tcp_syn;
  without.options.maximum_segment_size = 1460;
  without.options.sack_permitted = true;
  without.options.window_scale = 7;
  bytes.resize(without.encoded_bytes());
  without.emit(bytes);
  CHECK(std::vector(bytes.begin() + 20, bytes.end()) == hex("020405b4 01010402 01030307"));
}

TEST_CASE("The Fast Open option is written by both of its numbers, with a cookie and without") {
  using enum fast_open_option;
  for (auto const& [how, cookie, written] : std::initializer_list<std::tuple<fast_open_option, std::string_view, std::string_view>>{
           {standard, "", "22020101"},
           {standard, "00112233", "22060011 22330101"},
           {standard, "0011223344556677", "220a0011 22334455 66770101"},
           {experimental, "", "fe04f989"},
           {experimental, "0011223344556677", "fe0cf989 00112233 44556677"}}) {
    auto const bytes_of_cookie = hex(cookie);
    tcp_header syn;
    syn.flags = tcp_syn;
    syn.options.fast_open = how;
    syn.options.fast_open_cookie = bytes_of_cookie;
    std::vector<std::byte> bytes(syn.encoded_bytes());
    syn.emit(bytes);
    CHECK(std::vector(bytes.begin() + 20, bytes.end()) == hex(written));
    auto const read = tcp_header::parse(bytes, bytes.size());
    REQUIRE(read);
    CHECK(read->options.fast_open == how);
    CHECK(std::ranges::equal(read->options.fast_open_cookie, bytes_of_cookie));
  }
  // Too short, too long, odd, another experiment: as if it were not there.
  for (std::string_view const option :
       {"22040011 01010101", "22140001 02030405 06070809 0a0b0c0d 0e0f1011", "22070011 22334401", "fe04f98a 01010101"}) {
    auto bytes = hex("0050 c000 00000001 00000000 5002 ffff 0000 0000");
    auto const more = hex(option);
    store8(bytes, 12, static_cast<std::uint8_t>((20 + more.size()) / 4 << 4));
    bytes.insert(bytes.end(), more.begin(), more.end());
    auto const read = tcp_header::parse(bytes, bytes.size());
    REQUIRE(read);
    CHECK(read->options.fast_open == none);
  }
}

TEST_CASE("Timestamps with three SACK blocks fill a TCP header exactly") {
  tcp_header header;
  header.flags = tcp_ack;
  header.options.timestamps = tcp_timestamps{5, 6};
  header.options.sack_count = 3;
  header.options.sack[0] = {{100}, {200}};
  header.options.sack[2] = {{0xffff'ff00}, {10}};
  REQUIRE(header.encoded_bytes() == 60);
  std::vector<std::byte> bytes(60);
  header.emit(bytes);
  auto const read = tcp_header::parse(bytes, 60);
  REQUIRE(read);
  CHECK(read->options.sack_count == 3);
  CHECK(read->options.sack[2] == header.options.sack[2]);
}

TEST_CASE("TCP options with impossible lengths are refused, unknown ones are skipped") {
  auto with_options = [](std::string_view options) {
    auto bytes = hex("0050 c000 00000001 00000002 5010 ffff 0000 0000");
    auto more = hex(options);
    store8(bytes, 12, static_cast<std::uint8_t>((20 + more.size()) / 4 << 4));
    bytes.insert(bytes.end(), more.begin(), more.end());
    return tcp_header::parse(bytes, bytes.size());
  };
  CHECK(with_options("fe04 aaaa").has_value());
  CHECK(with_options("0204 05b4")->options.maximum_segment_size == 1460);
  CHECK(with_options("0203 0500").error() == parse_error::wrong_option);  // a short MSS
  CHECK(with_options("fe00 0000").error() == parse_error::wrong_option);  // length 0 must not loop
  CHECK(with_options("fe01 0000").error() == parse_error::wrong_option);
  CHECK(with_options("0101 01fe").error() == parse_error::wrong_option);  // a kind without a length
  CHECK(with_options("fe08 0000").error() == parse_error::wrong_option);  // past the end
  CHECK(with_options("0000 fe08").has_value());                           // after the end of options
  CHECK(with_options("0303 ff00")->options.window_scale == 14);           // RFC 7323 2.3
}

TEST_CASE("A TCP header shorter than it says is refused") {
  auto bytes = hex("0050 c000 00000001 00000002 6010 ffff 0000 0000");
  CHECK(tcp_header::parse(bytes, bytes.size()).error() == parse_error::wrong_header_length);
  store8(bytes, 12, 0x40);
  CHECK(tcp_header::parse(bytes, bytes.size()).error() == parse_error::wrong_header_length);
  CHECK(tcp_header::parse(std::span(bytes).first(19), 19).error() == parse_error::too_short);
}

TEST_CASE("Sequence numbers compare across the wrap") {
  CHECK(wire::sequence{0xffff'fff0} < wire::sequence{0x10});
  CHECK(wire::sequence{0x10} > wire::sequence{0xffff'fff0});
  CHECK(wire::sequence{0x10} - wire::sequence{0xffff'fff0} == 0x20);
  CHECK(wire::sequence{0xffff'ffff} + 1 == wire::sequence{0});
  CHECK(wire::sequence{7} <= wire::sequence{7});
}

TEST_CASE("A UDP length that contradicts the packet is refused") {
  auto bytes = hex("0035 c000 0009 0000 aa");
  CHECK(udp_header::parse(bytes, 9)->total_bytes == 9);
  CHECK(udp_header::parse(bytes, 8).error() == parse_error::wrong_length);
  store16(bytes, 4, 7);
  CHECK(udp_header::parse(bytes, 9).error() == parse_error::wrong_length);
}

TEST_CASE("The packet an ICMP error quotes is found, whichever family") {
  std::vector<std::byte> quoted(28);
  ipv4_header header;
  header.source = {{10, 0, 0, 1}};
  header.destination = {{10, 0, 0, 2}};
  header.total_bytes = 1500;
  header.emit(quoted);
  store16(quoted, 20, 4000);
  store16(quoted, 22, 80);
  store32(quoted, 24, 0xdeadbeef);
  auto const found = parse_quote(quoted, false);
  REQUIRE(found);
  CHECK(found->source_port == 4000);
  CHECK(found->destination_port == 80);
  CHECK(found->tcp_sequence == 0xdeadbeef);
  CHECK(parse_quote(std::span(quoted).first(27), false).error() == parse_error::too_short);
}

TEST_CASE("An IPv4 header that claims more options than there are bytes is refused") {
  // Nine words claimed, five present.
  auto bytes = hex("49000014 00000000 40110000 0a000001 0a000002");
  CHECK(ipv4_header::parse(bytes, bytes.size()).error() == parse_error::wrong_header_length);
}

TEST_CASE("Random bytes as TCP options end, accepted or refused, and never claim more than is there") {
  std::uint64_t state = 12'345;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes(20 + static_cast<std::size_t>(round % 11) * 4);
    for (auto& one : bytes) {
      state = state * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
      one = static_cast<std::byte>(state >> 56);
    }
    store8(bytes, 12, static_cast<std::uint8_t>(bytes.size() / 4 << 4));
    auto const read = tcp_header::parse(bytes, bytes.size());
    if (read) CHECK(read->options.sack_count <= 4);
  }
}

TEST_CASE("A TCP header without options is twenty bytes") {
  tcp_header plain;
  CHECK(plain.encoded_bytes() == 20);
  tcp_header scaled;
  scaled.options.window_scale = 3;
  CHECK(scaled.encoded_bytes() == 24);  // padded in front
  std::vector<std::byte> bytes(24);
  scaled.emit(bytes);
  CHECK(std::vector(bytes.begin() + 20, bytes.end()) == hex("01030303"));
}

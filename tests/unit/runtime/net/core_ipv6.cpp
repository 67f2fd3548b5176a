#include <algorithm>
#include <set>

#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

core_configuration six(std::uint8_t number, std::vector<cidr> addresses, bool routers = false) {
  core_configuration made;
  made.device.address = mac(number);
  made.addresses = std::move(addresses);
  made.router_advertisements = routers;
  return made;
}

auto const router = ip("fe80::99");
auto const all_nodes = ip("ff02::1");

bytes six_frame(ip_address const& from, ip_address const& to, wire::protocol next, bytes const& payload,
                std::uint8_t hop_limit = 64) {
  auto const link = to.is_multicast() ? wire::multicast_mac(to) : mac(1);
  return ethernet_frame(link, mac(9), wire::ether_type::ipv6, ipv6_packet(from, to, next, payload, hop_limit));
}
bytes icmp_frame(ip_address const& from, ip_address const& to, std::uint8_t type, std::uint32_t rest, bytes const& body,
                 std::uint8_t hop_limit = 255) {
  return six_frame(from, to, wire::protocol::icmp_v6, icmp_message(true, from, to, type, 0, rest, body), hop_limit);
}
bytes raw(ip_address const& address) {
  auto const value = address.v6().bytes;
  auto const view = std::as_bytes(std::span(value));
  return {view.begin(), view.end()};
}
bytes link_option(std::uint8_t type, mac_address const& link) {
  bytes made(8);
  wire::store8(made, 0, type);
  wire::store8(made, 1, 1);
  wire::store_array(made, 2, link.bytes);
  return made;
}
bytes prefix_option(std::string_view prefix, std::uint32_t valid, std::uint32_t preferred) {
  auto const what = net_of(prefix);
  bytes made(16);
  wire::store8(made, 0, 3);
  wire::store8(made, 1, 4);
  wire::store8(made, 2, what.prefix_bits);
  wire::store8(made, 3, 0xc0);
  wire::store32(made, 4, valid);
  wire::store32(made, 8, preferred);
  return made + raw(what.address);
}
bytes advertisement(bytes const& options, std::uint16_t lifetime_s = 1800, ip_address const& from = router,
                    std::uint8_t hop_limit = 255) {
  return icmp_frame(from, all_nodes, 134, std::uint32_t{64} << 24 | lifetime_s, bytes(8) + options, hop_limit);
}

struct bench {
  host_under_test host;
  instant now{};
  explicit bench(core_configuration const& configuration) : host(configuration, 1) {}
  /// ICMPv6 messages of one type that left meanwhile.
  std::vector<bytes> pass(duration length, std::uint8_t type) {
    std::vector<bytes> all;
    auto const end = now + length;
    for (;;) {
      for (auto const& frame : host.sent(now)) {
        if (link_of(frame).type != wire::ether_type::ipv6 || frame[20] != std::byte{58}) continue;
        if (frame[54] == std::byte{type}) all.push_back(frame);
      }
      if (host->next_deadline() > end) break;
      now = std::max(now, host->next_deadline());
      host->on_deadline(now);
    }
    now = end;
    return all;
  }
  std::vector<core::address_entry> with_prefix(std::string_view prefix) {
    auto all = host->addresses();
    std::erase_if(all, [&](core::address_entry const& one) { return !net_of(prefix).contains(one.address.address); });
    return all;
  }
};

bytes read(udp_port& port) {
  bytes into(70'000);
  auto const got = port.receive(into);
  REQUIRE(got.has_value());
  REQUIRE(got->has_value());
  into.resize((*got)->size);
  return into;
}

}  // namespace

TEST_CASE("datagrams pass between two IPv6 hosts, in fragments where they must") {
  ethernet link;
  auto& one = link.add(six(1, {net_of("2001:db8::1/64")}));
  auto& two = link.add(six(2, {net_of("2001:db8::2/64")}));
  link.run(5s);
  auto* const server = two->bind({ip("::"), 7}).value();
  auto* const client = one->bind({ip("::"), 0}).value();
  REQUIRE(client->send(pattern(1), {ip("2001:db8::2"), 7}, link.now));
  link.settle();
  CHECK(read(*server) == pattern(1));
  for (auto const size : std::initializer_list<std::size_t>{0, 62, 63, 1452, 1453, 5000, 65'479}) {
    INFO(size);
    REQUIRE(client->send(pattern(size), {ip("2001:db8::2"), 7}, link.now));
    link.settle();
    REQUIRE(read(*server) == pattern(size));
  }
  REQUIRE(one->ping(ip("2001:db8::2"), 1, 9, 3000, link.now));
  link.settle();
  (void)one->poll_event();
  std::optional<core::event> reply;
  while (auto const event = one->poll_event()) {
    if (event->echo_reply) reply = event;
  }
  REQUIRE(reply);
  CHECK(reply->echo_reply->sequence == 9);
  CHECK(one->counters().malformed == 0);
  CHECK(two->counters().malformed == 0);
}

TEST_CASE("an address that another host has is not taken") {
  ethernet link;
  auto& one = link.add(six(1, {net_of("2001:db8::1/64")}));
  link.run(5s);
  auto& two = link.add(six(2, {net_of("2001:db8::1/64")}));
  link.run(5s);
  auto const state = [](host_under_test& host) {
    for (auto const& entry : host->addresses()) {
      if (entry.address.address == ip("2001:db8::1")) return entry.state;
    }
    return core::address_state::tentative;
  };
  CHECK(state(one) == core::address_state::preferred);
  CHECK(state(two) == core::address_state::duplicated);
  CHECK(two->counters().address_conflicts == 1);
  CHECK(one->counters().address_conflicts == 0);
}

TEST_CASE("two hosts that ask for one address at the same time both leave it") {
  ethernet link;
  link.add(six(1, {net_of("2001:db8::1/64")}));
  link.add(six(2, {net_of("2001:db8::1/64")}));
  link.run(5s);
  for (auto& host : link.hosts) {
    for (auto const& entry : (*host)->addresses()) {
      if (entry.address.address == ip("2001:db8::1")) CHECK(entry.state == core::address_state::duplicated);
    }
  }
}

TEST_CASE("a host asks for routers three times and stops when one answers") {
  SECTION("nobody answers") {
    bench under(six(1, {}, true));
    CHECK(under.pass(60s, 133).size() == 3);
  }
  SECTION("one answers") {
    bench under(six(1, {}, true));
    CHECK(under.pass(1s, 133).size() == 1);
    under.host.receive(advertisement(link_option(1, mac(9))), under.now);
    CHECK(under.pass(60s, 133).empty());
  }
}

TEST_CASE("addresses are made of advertised prefixes, stable ones, and last as long as they say") {
  bench under(six(1, {}, true));
  (void)under.pass(5s, 133);
  under.host.receive(advertisement(link_option(1, mac(9)) + prefix_option("2001:db8:1::/64", 20'000, 10'000)), under.now);
  auto const made = under.with_prefix("2001:db8:1::/64");
  REQUIRE(made.size() == 1);
  (void)under.pass(5s, 0);
  CHECK(under.with_prefix("2001:db8:1::/64")[0].state == core::address_state::preferred);
  // The same host with the same secret makes the same one (RFC 7217), of another prefix another one.
  bench again(six(1, {}, true));
  again.host.receive(advertisement(prefix_option("2001:db8:1::/64", 20'000, 10'000) +
                                   prefix_option("2001:db8:2::/64", 20'000, 10'000)),
                     again.now);
  CHECK(again.with_prefix("2001:db8:1::/64")[0].address == made[0].address);
  auto const low = [](ip_address const& address) { return wire::load<std::uint64_t>(raw(address), 8); };
  CHECK(low(again.with_prefix("2001:db8:2::/64")[0].address.address) != low(made[0].address.address));
  // The way out leads to the router.
  CHECK(under.host->path_to(ip("2001:db8:ffff::1"), under.now)->source == made[0].address.address);
  (void)under.pass(10'000s, 0);
  CHECK(under.with_prefix("2001:db8:1::/64")[0].state == core::address_state::deprecated);
  CHECK_FALSE(under.host->path_to(ip("2001:db8:ffff::1"), under.now).has_value());   // 1800 s are over
  (void)under.pass(10'001s, 0);
  CHECK(under.with_prefix("2001:db8:1::/64").empty());
}

TEST_CASE("an advertisement cannot cut a life below two hours") {
  bench under(six(1, {}, true));
  under.host.receive(advertisement(prefix_option("2001:db8:1::/64", 100'000, 50'000)), under.now);
  under.host.receive(advertisement(prefix_option("2001:db8:1::/64", 10, 10)), under.now);
  (void)under.pass(7100s, 0);
  CHECK(under.with_prefix("2001:db8:1::/64").size() == 1);
  (void)under.pass(200s, 0);
  CHECK(under.with_prefix("2001:db8:1::/64").empty());
}

TEST_CASE("temporary addresses are made beside stable ones when asked for, and preferred") {
  auto configuration = six(1, {}, true);
  configuration.temporary_addresses = true;
  configuration.detect_conflicts = false;
  bench under(configuration);
  under.host.receive(advertisement(link_option(1, mac(9)) + prefix_option("2001:db8:1::/64", 200'000, 100'000)), under.now);
  auto const made = under.with_prefix("2001:db8:1::/64");
  REQUIRE(made.size() == 2);
  CHECK(under.host->path_to(ip("2001:db8:ffff::1"), under.now)->source == made[1].address.address);
}

TEST_CASE("advertisements that RFC 4861 6.1.2 refuses change nothing") {
  bench under(six(1, {}, true));
  auto const options = prefix_option("2001:db8:1::/64", 20'000, 10'000);
  under.host.receive(advertisement(options, 1800, router, 64), under.now);                    // passed a router
  under.host.receive(advertisement(options, 1800, ip("2001:db8::99")), under.now);             // not link-local
  under.host.receive(advertisement(options + bytes(8)), under.now);                            // an option of no length
  CHECK(under.with_prefix("2001:db8:1::/64").empty());
  CHECK(under.host->counters().malformed == 3);
}

TEST_CASE("a router's MTU and name servers are taken") {
  bench under(six(1, {}, true));
  bytes mtu(8);
  wire::store8(mtu, 0, 5);
  wire::store8(mtu, 1, 1);
  wire::store32(mtu, 4, 1400);
  bytes servers(8);
  wire::store8(servers, 0, 25);
  wire::store8(servers, 1, 3);
  wire::store32(servers, 4, 600);
  under.host.receive(advertisement(link_option(1, mac(9)) + mtu + servers + raw(ip("2001:db8::53")) +
                                   prefix_option("2001:db8:1::/64", 20'000, 10'000)),
                     under.now);
  CHECK(under.host->path_to(ip("2001:db8:1::5"), under.now)->mtu_bytes == 1400);
  CHECK(under.host->advertised_name_servers() == std::vector<ip_address>{ip("2001:db8::53")});
  (void)under.pass(601s, 0);
  CHECK(under.host->advertised_name_servers().empty());
}

TEST_CASE("a router that is gone is left for another") {
  auto configuration = six(1, {net_of("2001:db8::1/64")}, true);
  configuration.detect_conflicts = false;
  bench under(configuration);
  auto const other = ip("fe80::98");
  under.host.receive(advertisement({}), under.now);
  under.host.receive(advertisement({}, 1800, other), under.now);
  auto* const port = under.host->bind({ip("::"), 0}).value();
  auto const asked = [&] {
    std::set<std::byte> targets;
    for (auto const& frame : under.pass(4s, 135)) targets.insert(frame[54 + 23]);
    return targets;
  };
  REQUIRE(port->send(pattern(1), {ip("2001:db8:ffff::1"), 53}, under.now));
  CHECK(asked() == std::set<std::byte>{std::byte{0x99}});
  REQUIRE(port->send(pattern(1), {ip("2001:db8:ffff::1"), 53}, under.now));
  CHECK(asked() == std::set<std::byte>{std::byte{0x98}});
}

TEST_CASE("a solicitation is answered, and only when it could be honest") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  bench under(configuration);
  (void)under.pass(5s, 0);
  auto const mine = ip("2001:db8::1");
  auto const peer = ip("2001:db8::9");
  auto const group = ip("ff02::1:ff00:1");
  under.host.receive(icmp_frame(peer, group, 135, 0, raw(mine) + link_option(1, mac(9))), under.now);
  auto const answers = under.pass(0s, 136);
  REQUIRE(answers.size() == 1);
  CHECK(link_of(answers[0]).destination == mac(9));
  CHECK(wire::load32(answers[0], 58) == 0x6000'0000);    // solicited, override
  under.host.receive(icmp_frame(peer, group, 135, 0, raw(mine) + link_option(1, mac(9)), 64), under.now);
  under.host.receive(icmp_frame(peer, group, 135, 0, raw(mine) + bytes(8)), under.now);
  under.host.receive(icmp_frame(ip("::"), group, 135, 0, raw(mine) + link_option(1, mac(9))), under.now);
  under.host.receive(icmp_frame(peer, group, 135, 0, raw(ip("2001:db8::77")) + link_option(1, mac(9))), under.now);
  CHECK(under.pass(0s, 136).empty());
  CHECK(under.host->counters().malformed == 3);
}

TEST_CASE("extension headers: skipped, refused, and reported as their options ask") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  bench under(configuration);
  (void)under.pass(5s, 0);
  auto const mine = ip("2001:db8::1");
  auto const peer = ip("2001:db8::9");
  under.host.receive(icmp_frame(peer, ip("ff02::1:ff00:1"), 135, 0, raw(mine) + link_option(1, mac(9))), under.now);
  (void)under.pass(0s, 0);
  auto* const port = under.host->bind({ip("::"), 7}).value();
  auto const datagram = udp_datagram({peer, 1000}, {mine, 7}, pattern(5));
  auto const options = [&](std::uint8_t kind) {
    bytes header(8);
    wire::store8(header, 0, 17);
    wire::store8(header, 2, kind);
    wire::store8(header, 3, 4);
    return header;
  };
  auto const send = [&](wire::protocol first, bytes const& extensions) {
    under.host.receive(six_frame(peer, mine, first, extensions + datagram), under.now);
    return under.pass(0s, 4);
  };
  CHECK(send(wire::protocol::destination_options, options(0x1e)).empty());
  CHECK(read(*port) == pattern(5));
  CHECK(send(wire::protocol::destination_options, options(0x5e)).empty());
  auto const reported = send(wire::protocol::destination_options, options(0x9e));
  REQUIRE(reported.size() == 1);
  CHECK(reported[0][55] == std::byte{2});
  CHECK(wire::load32(reported[0], 58) == 42);
  bytes into(10);
  CHECK_FALSE(port->receive(into).value().has_value());
  // An unknown next header, behind an option.
  auto unknown = options(0x1e);
  wire::store8(unknown, 0, 200);
  auto const refused = send(wire::protocol::destination_options, unknown);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0][55] == std::byte{1});
  CHECK(wire::load32(refused[0], 58) == 40);
  // More than eight of them is an attack.
  bytes many;
  for (int i = 0; i < 9; ++i) {
    auto one = options(0x1e);
    wire::store8(one, 0, i == 8 ? 17 : 60);
    many = many + one;
  }
  CHECK(send(wire::protocol::destination_options, many).empty());
  CHECK_FALSE(port->receive(into).value().has_value());
}

TEST_CASE("IPv6 fragments: whole, atomic, overlapping, and a first one that is too short") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  bench under(configuration);
  (void)under.pass(5s, 0);
  auto const mine = ip("2001:db8::1");
  auto const peer = ip("2001:db8::9");
  auto* const port = under.host->bind({ip("::"), 7}).value();
  auto const datagram = udp_datagram({peer, 1000}, {mine, 7}, pattern(92));   // 100 bytes
  auto const send = [&](std::size_t from, std::size_t to, bool more, std::uint32_t identification) {
    bytes header(8);
    wire::ipv6_fragment{wire::protocol::udp, static_cast<std::uint16_t>(from), more, identification}.emit(header);
    bytes const part(datagram.begin() + static_cast<std::ptrdiff_t>(from), datagram.begin() + static_cast<std::ptrdiff_t>(to));
    under.host.receive(six_frame(peer, mine, wire::protocol::fragment, header + part), under.now);
  };
  bytes into(200);
  auto const arrived = [&] { return port->receive(into).value().has_value(); };
  send(48, 100, false, 1);
  CHECK_FALSE(arrived());
  send(0, 48, true, 1);
  CHECK(arrived());
  send(0, 100, false, 2);
  CHECK(arrived());
  send(0, 48, true, 3);
  send(40, 100, false, 3);
  send(48, 100, false, 3);
  CHECK_FALSE(arrived());
  CHECK(under.host->counters().reassembly_overlaps == 1);
  send(0, 4, false, 4);                 // atomic, no room for a UDP header
  CHECK_FALSE(arrived());
  send(0, 50, true, 5);                 // not a multiple of eight
  CHECK(under.host->counters().malformed >= 2);
}

TEST_CASE("a router that says too big is believed down to 1280") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  configuration.routes = {{net_of("::/0"), ip("fe80::99")}};
  bench under(configuration);
  (void)under.pass(5s, 0);
  auto const mine = ip("2001:db8::1");
  auto const far = ip("2001:db8:ffff::1");
  auto* const port = under.host->bind({ip("::"), 4000}).value();
  auto const ours = ipv6_packet(mine, far, wire::protocol::udp, udp_datagram({mine, 4000}, {far, 53}, pattern(1300)));
  auto const too_big = [&](std::uint32_t mtu) {
    under.host.receive(icmp_frame(ip("2001:db8:5::1"), mine, 2, mtu, bytes(ours.begin(), ours.begin() + 100), 60), under.now);
    return under.host->path_to(far, under.now)->mtu_bytes;
  };
  CHECK(too_big(1400) == 1400);
  bytes into(10);
  CHECK(port->receive(into).error().is(net_error::message_too_long));
  CHECK(too_big(600) == 1280);
  CHECK(under.host->counters().path_mtu_reduced == 2);
}

TEST_CASE("membership of the solicited-node group is reported, hop limit 1 and with a router alert") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  host_under_test host(configuration, 1);
  auto now = instant{};
  std::size_t reports = 0;
  for (auto const& frame : host.sent(now)) {
    if (link_of(frame).type != wire::ether_type::ipv6 || frame[20] != std::byte{0}) continue;
    ++reports;
    CHECK(frame[21] == std::byte{1});
    CHECK(frame[62] == std::byte{143});
  }
  CHECK(reports == 2);    // of the address and of the link-local one
}

TEST_CASE("redirects are ignored and counted") {
  auto configuration = six(1, {net_of("2001:db8::1/64")});
  configuration.detect_conflicts = false;
  bench under(configuration);
  under.host.receive(icmp_frame(router, ip("2001:db8::1"), 137, 0, raw(ip("fe80::66")) + raw(ip("2001:db8:1::1"))), under.now);
  CHECK(under.host->counters().redirects_ignored == 1);
}

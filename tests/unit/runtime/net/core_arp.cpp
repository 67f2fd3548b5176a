// Addresses asked for, announced and defended: RFC 826 and RFC 5227.
#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

auto const mine = ip("10.0.0.1");

core_configuration careful(bool optimistic) {
  auto made = quiet(1, "10.0.0.1/24");
  made.detect_conflicts = true;
  made.optimistic = optimistic;
  return made;
}

/// One host whose ARP packets are looked at.
struct bench {
  host_under_test host;
  instant now{};
  explicit bench(core_configuration const& configuration) : host(configuration, 1) {}

  std::vector<wire::arp_packet> pass(duration length) {
    std::vector<wire::arp_packet> all;
    auto const end = now + length;
    auto const take = [&] {
      for (auto const& frame : host.sent(now)) {
        if (link_of(frame).type == wire::ether_type::arp) all.push_back(wire::arp_packet::parse(payload_of(frame)).value());
      }
    };
    take();
    while (host->next_deadline() <= end) {
      now = std::max(now, host->next_deadline());
      host->on_deadline(now);
      take();
    }
    now = end;
    return all;
  }
  void claim(ip_address const& address, wire::arp_operation operation = wire::arp_operation::request) {
    wire::arp_packet packet;
    packet.operation = operation;
    packet.sender_mac = mac(9);
    packet.sender = address.v4();
    packet.target = address.v4();
    host.receive(arp_frame(wire::broadcast_mac, packet), now);
  }
  core::address_state state() { return host->addresses().at(0).state; }
};

}  // namespace

TEST_CASE("an address is probed three times, then announced twice") {
  bench under(careful(false));
  auto const first = under.pass(1s);
  CHECK(first.size() == 1);
  CHECK(under.state() == core::address_state::tentative);
  auto const rest = under.pass(10s);
  REQUIRE(rest.size() == 4);
  CHECK((first[0].is_probe() && rest[0].is_probe() && rest[1].is_probe()));
  CHECK(first[0].target == mine.v4());
  CHECK((rest[2].is_announcement() && rest[3].is_announcement()));
  CHECK(under.state() == core::address_state::preferred);
  CHECK(under.host->next_deadline() == never);
}

TEST_CASE("an optimistic address answers while it is being probed") {
  for (bool const optimistic : {false, true}) {
    bench under(careful(optimistic));
    (void)under.pass(100ms);
    wire::arp_packet request;
    request.sender_mac = mac(9);
    request.sender = ip("10.0.0.9").v4();
    request.target = mine.v4();
    under.host.receive(arp_frame(wire::broadcast_mac, request), under.now);
    auto const answers = under.pass(0s);
    CHECK(answers.size() == (optimistic ? 1 : 0));
    CHECK(under.host->bind({mine, 7}).has_value() == optimistic);
  }
}

TEST_CASE("a conflict while probing takes the address away") {
  bench under(careful(false));
  (void)under.pass(1500ms);
  SECTION("by a packet from that address") {
    under.claim(mine, wire::arp_operation::reply);
  }
  SECTION("by another host's probe for it") {
    wire::arp_packet probe;
    probe.sender_mac = mac(9);
    probe.target = mine.v4();
    under.host.receive(arp_frame(wire::broadcast_mac, probe), under.now);
  }
  CHECK(under.state() == core::address_state::duplicated);
  CHECK(under.host->counters().address_conflicts == 1);
  CHECK(under.pass(20s).empty());
  CHECK(under.host->poll_event()->addresses_changed);
}

TEST_CASE("an address in use is defended once, and lost to a second conflict within ten seconds") {
  bench under(quiet(1, "10.0.0.1/24"));
  CHECK(under.pass(10s).size() == 2);
  under.claim(mine);
  auto const defence = under.pass(0s);
  REQUIRE(defence.size() == 1);
  CHECK(defence[0].is_announcement());
  CHECK(under.state() == core::address_state::preferred);
  SECTION("a second one soon after") {
    under.now += 9s;
    under.claim(mine);
    CHECK(under.pass(0s).empty());
    CHECK(under.state() == core::address_state::duplicated);
  }
  SECTION("a second one later is answered again") {
    under.now += 11s;
    under.claim(mine);
    CHECK(under.pass(0s).size() == 1);
    CHECK(under.state() == core::address_state::preferred);
  }
}

TEST_CASE("an address that was lost can be set again") {
  bench under(careful(false));
  (void)under.pass(1500ms);
  under.claim(mine);
  REQUIRE(under.host->add_address(net_of("10.0.0.1/24"), under.now));
  (void)under.pass(20s);
  CHECK(under.state() == core::address_state::preferred);
  CHECK(under.host->add_address(net_of("10.0.0.1/24"), under.now).error().is(net_error::address_in_use));
  CHECK(under.host->add_address(net_of("224.0.0.1/24"), under.now).error().is(net_error::invalid_address));
  under.host->remove_address(mine);
  CHECK(under.host->addresses().empty());
}

TEST_CASE("there is a limit to addresses and to routes") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.addresses = 2;
  configuration.limits.routes = 1;
  bench under(configuration);
  REQUIRE(under.host->add_address(net_of("10.0.1.1/24"), under.now));
  CHECK(under.host->add_address(net_of("10.0.2.1/24"), under.now).error().is(net_error::limit_reached));
  REQUIRE(under.host->add_route({net_of("192.0.2.0/24"), ip("10.0.0.9")}));
  CHECK(under.host->add_route({net_of("192.0.3.0/24"), ip("10.0.0.9")}).error().is(net_error::limit_reached));
  CHECK(under.host->add_route({net_of("192.0.3.0/24"), ip("fe80::1")}).error().is(net_error::invalid_address));
}

TEST_CASE("replies that nobody asked for make no entry, requests to us do") {
  bench under(quiet(1, "10.0.0.1/24"));
  (void)under.pass(10s);
  wire::arp_packet packet;
  packet.operation = wire::arp_operation::reply;
  packet.sender_mac = mac(9);
  packet.sender = ip("10.0.0.9").v4();
  packet.target_mac = mac(1);
  packet.target = mine.v4();
  under.host.receive(arp_frame(mac(1), packet), under.now);
  REQUIRE(under.host->ping(ip("10.0.0.9"), 1, 1, 0, under.now));
  CHECK(under.pass(0s).size() == 1);   // had to ask
  packet.operation = wire::arp_operation::request;
  under.host.receive(arp_frame(mac(1), packet), under.now);
  REQUIRE(under.host->ping(ip("10.0.0.9"), 1, 2, 0, under.now));
  auto const sent = under.host.sent(under.now);
  CHECK(sent.size() == 3);             // the answer, and both echo requests
}

TEST_CASE("groups are reported when joined, when asked and when left, in the querier's version") {
  bench under(quiet(1, "10.0.0.1/24"));
  (void)under.pass(10s);
  auto const group = ip("239.1.2.3");
  auto const reports = [&](duration length) {
    std::vector<bytes> all;
    auto const end = under.now + length;
    for (;;) {
      for (auto const& frame : under.host.sent(under.now)) {
        if (link_of(frame).type != wire::ether_type::ipv4) continue;
        CHECK(frame[22] == std::byte{1});                          // hop limit
        CHECK(frame[14] == std::byte{0x46});                       // with the router alert option
        all.emplace_back(frame.begin() + 38, frame.end());
      }
      if (under.host->next_deadline() > end) break;
      under.now = std::max(under.now, under.host->next_deadline());
      under.host->on_deadline(under.now);
    }
    under.now = end;
    return all;
  };
  REQUIRE(under.host->join_group(group, under.now));
  auto joined = reports(5s);
  REQUIRE(joined.size() == 2);
  CHECK(joined[0].size() == 16);
  CHECK(joined[0][0] == std::byte{0x22});
  CHECK(joined[0][8] == std::byte{4});
  auto const query = [&](std::size_t size) {
    bytes message(size);
    message[0] = std::byte{0x11};
    message[1] = std::byte{20};
    wire::checksum sum;
    sum.add(message);
    wire::store16(message, 2, sum.finish());
    under.host.receive(ethernet_frame(wire::multicast_mac(ip("224.0.0.1")), mac(9), wire::ether_type::ipv4,
                                      ipv4_packet(ip("10.0.0.9"), ip("224.0.0.1"), wire::protocol::igmp, message,
                                                  {.hop_limit = 1})),
                       under.now);
  };
  query(12);
  auto asked = reports(2s);
  REQUIRE(asked.size() == 1);
  CHECK(asked[0][8] == std::byte{2});
  query(8);
  asked = reports(2s);
  REQUIRE(asked.size() == 1);
  CHECK(asked[0][0] == std::byte{0x16});
  under.host->leave_group(group, under.now);
  auto const left = reports(2s);
  REQUIRE(left.size() == 1);
  CHECK(left[0][0] == std::byte{0x17});
}

TEST_CASE("a datagram to a group reaches who joined it") {
  ethernet link;
  auto& one = link.add(quiet(1, "10.0.0.1/24"));
  auto& two = link.add(quiet(2, "10.0.0.2/24"));
  auto const group = ip("239.1.2.3");
  auto* const listener = two->bind({ip("0.0.0.0"), 5000}).value();
  auto* const sender = one->bind({ip("0.0.0.0"), 0}).value();
  bytes into(100);
  REQUIRE(sender->send(pattern(10), {group, 5000}, link.now));
  link.settle();
  CHECK_FALSE(listener->receive(into).value().has_value());
  REQUIRE(two->join_group(group, link.now));
  REQUIRE(sender->send(pattern(10), {group, 5000}, link.now));
  link.settle();
  CHECK(listener->receive(into).value()->size == 10);
}

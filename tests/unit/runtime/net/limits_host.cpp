// Each limit of IP, link and UDP that no other file reaches (tests/proofs/limits.toml).
#include <catch2/catch.hpp>

#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

struct bench {
  explicit bench(core_configuration const& configuration, std::size_t pool_bytes = 16u << 20)
      : pool(2048, pool_bytes), host(std::make_unique<core>(configuration, secrets_of(1), pool, now)) {}

  void receive(bytes const& frame) {
    segment one;
    auto part = source.take_slice(frame.size());
    std::copy(frame.begin(), frame.end(), part.writable().begin());
    REQUIRE(one.append(std::move(part)));
    host->input(std::span(&one, 1), now);
  }
  void receive_ip(ip_address const& from, bytes const& packet) {
    receive(ethernet_frame(mac(1), mac(from.v4().bytes[3]), wire::ether_type::ipv4, packet));
  }
  void meet(ip_address const& who) {
    receive(arp_frame(wire::broadcast_mac, {wire::arp_operation::request, mac(who.v4().bytes[3]), who.v4(), {}, mine.v4()}));
    (void)sent();
  }
  std::vector<bytes> sent() {
    std::vector<bytes> all;
    std::array<segment, 4> out;
    while (auto const count = host->poll_transmit(out, now)) {
      for (std::size_t i = 0; i < count; ++i) {
        bytes frame(out[i].size());
        REQUIRE(out[i].copy_out(0, frame));
        all.push_back(std::move(frame));
        out[i].clear();
      }
    }
    return all;
  }
  core* operator->() { return host.get(); }

  instant now{};
  ip_address mine = ip("10.0.0.1"), peer = ip("10.0.0.9");
  buffer_pool source{2048, 16u << 20};   ///< of what arrives
  buffer_pool pool;                      ///< the host's own
  std::unique_ptr<core> host;
};

core_configuration routed() {
  auto made = quiet(1, "10.0.0.1/24");
  made.routes = {{net_of("0.0.0.0/0"), ip("10.0.0.9")}};
  return made;
}

}  // namespace

TEST_CASE("ICMP errors to many hosts are limited altogether, and a little less than the limit says") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.icmp_errors_per_s = 40;
  configuration.limits.icmp_errors_per_host_per_s = 10;
  bench under(configuration);
  std::size_t errors = 0;
  for (std::uint8_t who = 10; who < 30; ++who) {
    auto const from = ip_address(ipv4_address{{10, 0, 0, who}});
    under.meet(from);
    for (int i = 0; i < 5; ++i) {
      under.receive_ip(from, ipv4_packet(from, under.mine, static_cast<wire::protocol>(200), pattern(20)));
    }
    errors += under.sent().size();
  }
  // Of a hundred; the total is blurred downwards (CVE-2020-25705).
  CHECK(errors <= 40);
  CHECK(errors >= 30);
  CHECK(under->counters().icmp_errors_sent == errors);
  CHECK(under->counters().icmp_errors_suppressed == 100 - errors);
}

TEST_CASE("At the limit of narrow paths the oldest is forgotten") {
  auto configuration = routed();
  configuration.limits.path_mtu_entries = 2;
  configuration.limits.path_mtu_lifetime = 60s;
  configuration.limits.path_mtu_v4_min = 700;
  bench under(configuration);
  under.meet(under.peer);
  auto* const port = under->bind({under.mine, 4000}).value();
  auto const narrow = [&](ip_address const& far, std::uint32_t mtu) {
    REQUIRE(port->send(pattern(1400), {far, 53}, under.now));
    auto const sent = under.sent();
    REQUIRE(sent.size() == 1);
    auto const packet = payload_of(sent[0]);
    under.receive_ip(under.peer, ipv4_packet(under.peer, under.mine, wire::protocol::icmp_v4,
                                             icmp_message(false, under.peer, under.mine, 3, 4, mtu,
                                                          bytes(packet.begin(), packet.begin() + 28))));
    bytes into(10);
    (void)port->receive(into);
    under.now += 1s;
  };
  narrow(ip("192.0.2.1"), 1000);
  narrow(ip("192.0.2.2"), 1000);
  CHECK(under->counters().path_mtu_evicted == 0);
  narrow(ip("192.0.2.3"), 600);
  CHECK(under->counters().path_mtu_evicted == 1);
  CHECK(under->counters().path_mtu_reduced == 3);
  auto const known = [&](char const* far) { return under->path_to(ip(far), under.now)->mtu_bytes; };
  CHECK(known("192.0.2.1") == 1500);
  CHECK(known("192.0.2.2") == 1000);
  CHECK(known("192.0.2.3") == 700);  // never below the limit
  under.now += 60s;
  under->on_deadline(under.now);
  CHECK(known("192.0.2.3") == 1500);
}

TEST_CASE("No more groups are joined than the limit") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.multicast_groups = 2;
  bench under(configuration);
  REQUIRE(under->join_group(ip("239.0.0.1"), under.now));
  REQUIRE(under->join_group(ip("239.0.0.2"), under.now));
  CHECK(under->join_group(ip("239.0.0.3"), under.now).error().is(net_error::limit_reached));
  REQUIRE(under->join_group(ip("239.0.0.1"), under.now));  // once more the same
  CHECK(under->counters().groups_refused == 1);
  under->leave_group(ip("239.0.0.2"), under.now);
  CHECK(under->join_group(ip("239.0.0.3"), under.now));
}

TEST_CASE("Addresses, routes and sockets beyond their limits are refused and counted") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.addresses = 1;
  configuration.limits.routes = 0;
  configuration.limits.datagram_sockets = 1;
  bench under(configuration);
  CHECK(under->add_address(net_of("10.0.1.1/24"), under.now).error().is(net_error::limit_reached));
  CHECK(under->add_route({net_of("192.0.2.0/24"), under.peer}).error().is(net_error::limit_reached));
  REQUIRE(under->bind({under.mine, 1}));
  CHECK(under->bind({under.mine, 2}).error().is(net_error::limit_reached));
  auto const& counted = under->counters();
  CHECK(counted.addresses_refused == 1);
  CHECK(counted.routes_refused == 1);
  CHECK(counted.sockets_refused == 1);
}

TEST_CASE("What waits for the device has a limit; whoever sends more is told") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.transmit_queue_packets = 3;
  bench under(configuration);
  under.meet(under.peer);
  auto* const port = under->bind({under.mine, 4000}).value();
  for (int i = 0; i < 3; ++i) REQUIRE(port->send(pattern(10), {under.peer, 53}, under.now));
  CHECK(port->send(pattern(10), {under.peer, 53}, under.now).error().is(net_error::limit_reached));
  CHECK(under->counters().transmit_queue_full == 1);
  // A datagram in four fragments goes whole or not at all.
  CHECK(under.sent().size() == 3);
  CHECK(port->send(pattern(5000), {under.peer, 53}, under.now).error().is(net_error::limit_reached));
  CHECK(under.sent().empty());
  CHECK(under->counters().transmit_queue_full == 2);
  REQUIRE(port->send(pattern(4000), {under.peer, 53}, under.now));
  CHECK(under.sent().size() == 3);
}

TEST_CASE("Without buffers a host refuses to send, goes on receiving, and recovers") {
  bench under(quiet(1, "10.0.0.1/24"), 2 * 2048);
  under.meet(under.peer);
  auto* const port = under->bind({under.mine, 4000}).value();
  REQUIRE(port->send(pattern(1000), {under.peer, 53}, under.now));
  REQUIRE(port->send(pattern(1000), {under.peer, 53}, under.now));
  CHECK(port->send(pattern(1000), {under.peer, 53}, under.now).error().is(net_error::limit_reached));
  CHECK(under->counters().no_buffers == 1);
  CHECK(under.pool.refused() == 1);
  // Small ones need none, and what arrives brings its own.
  REQUIRE(port->send(pattern(10), {under.peer, 53}, under.now));
  under.receive_ip(under.peer, ipv4_packet(under.peer, under.mine, wire::protocol::udp,
                                           udp_datagram({under.peer, 53}, {under.mine, 4000}, pattern(30))));
  bytes into(100);
  auto const got = port->receive(into);
  REQUIRE(got);
  REQUIRE(*got);
  CHECK((*got)->size == 30);
  CHECK(under.sent().size() == 3);
  CHECK(under.pool.used_buffers() == 0);
  CHECK(port->send(pattern(1000), {under.peer, 53}, under.now));
}

TEST_CASE("The hop limit of what leaves is configured") {
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.hop_limit = 7;
  bench under(configuration);
  under.meet(under.peer);
  REQUIRE(under->bind({under.mine, 4000}).value()->send(pattern(10), {under.peer, 53}, under.now));
  REQUIRE(under->tcp().connect({under.peer, 80}, {}, under.now));
  auto const sent = under.sent();
  REQUIRE(sent.size() == 2);
  for (auto const& one : sent) CHECK(one[14 + 8] == std::byte{7});
}

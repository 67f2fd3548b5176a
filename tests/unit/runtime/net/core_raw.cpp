#include <catch2/catch.hpp>

#include "test_link.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t experiment = 253;       // RFC 3692
constexpr std::uint8_t icmp = 1, icmp6 = 58, udp = 17;

struct two_hosts {
  two_hosts() {
    auto const configure = [](std::uint8_t number, std::string_view v4, std::string_view v6) {
      auto made = quiet(number, v4);
      made.addresses.push_back(net_of(v6));
      return made;
    };
    a = &link.add(configure(1, "10.0.0.1/24", "2001:db8::1/64"));
    b = &link.add(configure(2, "10.0.0.2/24", "2001:db8::2/64"));
  }
  raw_port& open(host_under_test& at, address_family family, std::uint8_t protocol) {
    return *at->open_raw(family, protocol).value();
  }
  /// Whole packets that arrived.
  static std::vector<bytes> all_of(raw_port& port) {
    std::vector<bytes> found;
    bytes into(70'000);
    while (auto const got = port.receive(into)) {
      found.emplace_back(into.begin(), into.begin() + static_cast<std::ptrdiff_t>(got->size));
    }
    return found;
  }
  ethernet link;
  host_under_test* a;
  host_under_test* b;
};

}  // namespace

TEST_CASE("a protocol of one's own goes from raw socket to raw socket, over both families", "[raw]") {
  two_hosts t;
  for (auto const* to : {"10.0.0.2", "2001:db8::2"}) {
    bool const is_v6 = ip(to).is_v6();
    auto& from = t.open(*t.a, address_family::any, experiment);
    auto& at = t.open(*t.b, is_v6 ? address_family::v6 : address_family::v4, experiment);
    auto& other_family = t.open(*t.b, is_v6 ? address_family::v4 : address_family::v6, experiment);
    CHECK(from.protocol() == experiment);
    for (std::size_t const size : {0u, 3u, 100u, 5000u}) {
      REQUIRE(from.send(pattern(size), ip(to), t.link.now));
      t.link.settle();
      auto const event = (*t.b)->poll_event();
      REQUIRE(event);
      CHECK(event->raw == &at);
      auto const got = two_hosts::all_of(at);
      REQUIRE(got.size() == 1);
      std::size_t const header = is_v6 ? (size > 1400 ? 48 : 40) : 20;   // put together it keeps a fragment header
      REQUIRE(got[0].size() == header + size);
      CHECK(bytes(got[0].begin() + static_cast<std::ptrdiff_t>(header), got[0].end()) == pattern(size));
    }
    CHECK(two_hosts::all_of(other_family).empty());
    from.release();
    at.release();
    other_family.release();
  }
  CHECK((*t.b)->counters().icmp_errors_sent == 0);
  CHECK((*t.a)->counters().raw_out == 8);
}

TEST_CASE("a protocol that nobody has is unreachable, one that a raw socket has is not", "[raw]") {
  two_hosts t;
  auto& from = t.open(*t.a, address_family::v4, experiment);
  REQUIRE(from.send(pattern(10), ip("10.0.0.2"), t.link.now));
  t.link.settle();
  CHECK((*t.b)->counters().icmp_errors_sent == 1);
  auto& at = t.open(*t.b, address_family::v4, experiment);
  REQUIRE(from.send(pattern(10), ip("10.0.0.2"), t.link.now));
  t.link.settle();
  CHECK((*t.b)->counters().icmp_errors_sent == 1);
  at.release();
  REQUIRE(from.send(pattern(10), ip("10.0.0.2"), t.link.now));
  t.link.settle();
  CHECK((*t.b)->counters().icmp_errors_sent == 2);
}

TEST_CASE("a raw socket of ICMP sees echo and errors, which are handled all the same", "[raw]") {
  two_hosts t;
  auto& watch = t.open(*t.b, address_family::v4, icmp);
  auto& watch6 = t.open(*t.b, address_family::v6, icmp6);
  REQUIRE((*t.a)->ping(ip("10.0.0.2"), 7, 1, 20, t.link.now));
  REQUIRE((*t.a)->ping(ip("2001:db8::2"), 7, 2, 20, t.link.now));
  t.link.settle();
  CHECK((*t.b)->counters().echo_replies == 2);
  auto const seen = two_hosts::all_of(watch);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].size() == 20 + 8 + 20);
  CHECK(seen[0][20] == std::byte{8});
  CHECK_FALSE(two_hosts::all_of(watch6).empty());
  int replies = 0;
  while (auto const event = (*t.a)->poll_event()) replies += event->echo_reply ? 1 : 0;
  CHECK(replies == 2);
}

TEST_CASE("a raw socket of UDP sees every datagram of a run", "[raw]") {
  two_hosts t;
  auto* const from = (*t.a)->bind({ip("0.0.0.0"), 1000}).value();
  auto* const to = (*t.b)->bind({ip("0.0.0.0"), 2000}).value();
  auto const send = [&] {
    REQUIRE(from->send(pattern(30), {ip("10.0.0.2"), 2000}, t.link.now));
    t.link.settle();
  };
  send();
  send();                                      // by now packets of the pair are expected
  auto& watch = t.open(*t.b, address_family::v4, udp);
  for (int i = 0; i < 3; ++i) send();
  CHECK(two_hosts::all_of(watch).size() == 3);
  bytes into(100);
  int read = 0;
  while (to->receive(into).value()) ++read;
  CHECK(read == 5);
}

TEST_CASE("an ICMPv6 message of a raw socket has its checksum filled in", "[raw]") {
  two_hosts t;
  auto& port = t.open(*t.a, address_family::v6, icmp6);
  bytes echo(16);
  echo[0] = std::byte{128};
  REQUIRE(port.send(echo, ip("2001:db8::2"), t.link.now));
  t.link.settle();
  CHECK((*t.b)->counters().echo_replies == 1);
}

TEST_CASE("a whole packet is sent as it is, from an address of ours only", "[raw]") {
  two_hosts t;
  auto& port = t.open(*t.a, address_family::any, experiment);
  auto& at = t.open(*t.b, address_family::any, experiment);
  auto packet = ipv4_packet(ip("10.0.0.1"), ip("10.0.0.2"), static_cast<wire::protocol>(experiment), pattern(50),
                            {.identification = 77, .hop_limit = 9});
  auto const expected = packet;
  packet[10] = packet[11] = std::byte{0};      // the checksum is filled in
  REQUIRE(port.send_packet(packet, t.link.now));
  t.link.settle();
  auto const got = two_hosts::all_of(at);
  REQUIRE(got.size() == 1);
  CHECK(got[0] == expected);
  REQUIRE(port.send_packet(ipv6_packet(ip("2001:db8::1"), ip("2001:db8::2"), static_cast<wire::protocol>(experiment),
                                       pattern(50)), t.link.now));
  t.link.settle();
  CHECK(two_hosts::all_of(at).size() == 1);

  auto const error_of = [&](bytes const& one) { return port.send_packet(one, t.link.now).error(); };
  CHECK(error_of({}).is(net_error::invalid_address));
  CHECK(error_of(bytes(expected.begin(), expected.end() - 1)).is(net_error::invalid_address));
  CHECK(error_of(ipv4_packet(ip("10.0.0.9"), ip("10.0.0.2"), wire::protocol::udp, pattern(9))).is(net_error::not_permitted));
  CHECK(error_of(ipv4_packet(ip("10.0.0.1"), ip("192.0.2.1"), wire::protocol::udp, pattern(9))).is(net_error::unreachable));
  CHECK(error_of(ipv4_packet(ip("10.0.0.1"), ip("10.0.0.2"), wire::protocol::udp, pattern(2000))).is(net_error::message_too_long));
}

TEST_CASE("raw sockets and what waits in them have limits", "[raw]") {
  ethernet link;
  auto configuration = quiet(1, "10.0.0.1/24");
  configuration.limits.raw_sockets = 2;
  configuration.limits.raw_queue_bytes = 2000;
  auto& host = link.add(configuration);
  auto& other = link.add(quiet(2, "10.0.0.2/24"));
  auto* const port = host->open_raw(address_family::v4, experiment).value();
  auto* const second = host->open_raw(address_family::v4, experiment).value();
  CHECK(host->open_raw(address_family::v4, experiment).error().is(net_error::limit_reached));
  CHECK(host->counters().raw_refused == 1);
  auto* const from = other->open_raw(address_family::v4, experiment).value();
  // The first one has the neighbour found, so that the others do not wait (and drop) there.
  REQUIRE(from->send(pattern(100), ip("10.0.0.1"), link.now));
  link.settle();
  CHECK(two_hosts::all_of(*port).size() == 1);
  CHECK(two_hosts::all_of(*second).size() == 1);
  for (int i = 0; i < 5; ++i) REQUIRE(from->send(pattern(100), ip("10.0.0.1"), link.now));
  link.settle();
  CHECK(two_hosts::all_of(*port).size() == 3);
  CHECK(host->counters().raw_dropped == 4);    // two at each of both
  REQUIRE(from->send(pattern(100), ip("10.0.0.1"), link.now));
  link.settle();
  CHECK(two_hosts::all_of(*port).size() == 1);
  port->release();
  CHECK(host->open_raw(address_family::v4, experiment));
}

}  // namespace morgana::net::testing

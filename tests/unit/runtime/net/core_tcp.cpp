// TCP through whole hosts: mirage-tcpip's groups connect, mtu+tcp and iperf (quick sizes), over both families.
#include <algorithm>

#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

core_configuration both(std::uint8_t number) {
  core_configuration made;
  made.device.address = mac(number);
  made.addresses = {cidr{ip_address(ipv4_address{{10, 0, 0, number}}), 24},
                    cidr{ip_address(ipv6_address{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number}}), 64}};
  made.router_advertisements = false;
  made.detect_conflicts = false;
  return made;
}

std::byte stream_byte(std::size_t at) { return static_cast<std::byte>(at * 2'654'435'761u >> 13); }

/// A client that has connected to a server, both over one Ethernet.
struct session {
  ethernet& link;
  tcp::connection* client = nullptr;
  tcp::connection* server = nullptr;

  session(ethernet& on, host_under_test& from, host_under_test& to, ip_address const& address) : link(on) {
    auto* const listener = to->tcp().listen({.address = ip("::"), .port = 80}).value();
    client = from->tcp().connect(endpoint{address, 80}, {}, link.now).value();
    for (int i = 0; i < 200 && server == nullptr; ++i) {
      link.run(100ms);
      server = listener->accept();
    }
    REQUIRE(server != nullptr);
    listener->release(link.now);
  }
  ~session() {
    client->release(link.now);
    server->release(link.now);
    link.run(1s);
  }

  /// Sends `total` bytes one way and checks each that arrives.
  void transfer(tcp::connection& from, tcp::connection& to, std::size_t total, duration bound = 600s) {
    std::size_t written = 0;
    std::size_t got = 0;
    bytes chunk(16'384);
    auto const end = link.now + bound;
    while (got < total) {
      REQUIRE(link.now < end);
      auto const size = std::min(chunk.size(), total - written);
      for (std::size_t i = 0; i < size; ++i) chunk[i] = stream_byte(written + i);
      auto const count = from.write(std::span(chunk).first(size), link.now);
      REQUIRE(count.has_value());
      written += *count;
      link.settle();
      bool idle = *count == 0 || written == total;
      for (;;) {
        auto const read = to.read(chunk, link.now);
        REQUIRE(read.has_value());
        if (!*read) break;
        REQUIRE(**read != 0);
        for (std::size_t i = 0; i < **read; ++i) {
          if (chunk[i] != stream_byte(got + i)) FAIL("byte " << got + i);
        }
        got += **read;
        idle = false;
      }
      link.settle();
      if (idle) link.run(10ms);
    }
    CHECK(got == total);
  }
};

}  // namespace

TEST_CASE("two hosts connect over either family and pass data both ways") {
  for (auto const* address : {"10.0.0.2", "2001:db8::2"}) {
    INFO(address);
    ethernet link;
    auto& one = link.add(both(1));
    auto& two = link.add(both(2));
    session under(link, one, two, ip(address));
    under.transfer(*under.client, *under.server, 100'000);
    under.transfer(*under.server, *under.client, 100'000);
    under.client->shutdown(link.now);
    link.run(1s);
    std::array<std::byte, 8> into;
    CHECK(under.server->read(into, link.now).value() == std::optional<std::size_t>(0));
    for (auto* host : {&one, &two}) {
      CHECK((*host)->tcp().counters().wrong_checksums == 0);
      CHECK((*host)->counters().malformed == 0);
      CHECK((*host)->counters().fragments_out == 0);
    }
    for (auto const& frame : link.frames) REQUIRE(frame.size() <= 1514);
  }
}

TEST_CASE("no frame is larger than the MTU, whatever it is, and none smaller than need be") {
  for (std::uint32_t const mtu : {576u, 1000u, 1280u, 9000u}) {
    ethernet link;
    auto configuration = both(1);
    configuration.device.mtu_bytes = mtu;
    if (mtu < 1280) configuration.addresses.pop_back();
    auto& one = link.add(configuration);
    configuration.device.address = mac(2);
    configuration.addresses[0].address = ip("10.0.0.2");
    if (mtu >= 1280) configuration.addresses.pop_back();
    auto& two = link.add(configuration);
    link.filter = [&](std::size_t, bytes const& frame) {
      REQUIRE(frame.size() <= mtu + 14);
      return true;
    };
    session under(link, one, two, ip("10.0.0.2"));
    link.frames.clear();
    if (mtu <= 2000) {
      under.transfer(*under.client, *under.server, 100'000);
      auto const full = std::ranges::count_if(link.frames, [&](bytes const& frame) { return frame.size() == mtu + 14; });
      CHECK(static_cast<std::size_t>(full) >= 100'000 / mtu * 8 / 10);
    }
  }
}

TEST_CASE("bytes behind the packet do no harm") {
  ethernet link;
  auto& one = link.add(both(1));
  auto& two = link.add(both(2));
  // As a switch does that pads, or a device that leaves more than it should.
  std::size_t count = 0;
  link.filter = [&](std::size_t from, bytes const& frame) {
    auto longer = frame + pattern(++count % 11);
    link.hosts[1 - from]->receive(longer, link.now);
    return false;
  };
  session under(link, one, two, ip("10.0.0.2"));
  under.transfer(*under.client, *under.server, 100'000);
  CHECK(one->tcp().counters().wrong_checksums + two->tcp().counters().wrong_checksums == 0);
}

TEST_CASE("streams arrive whole when frames are lost") {
  for (auto const* address : {"10.0.0.2", "2001:db8::2"}) {
    for (std::uint32_t const loss : {10'000u, 50'000u}) {
      INFO(address << " loses " << loss << " of a million");
      ethernet link;
      auto& one = link.add(both(1));
      auto& two = link.add(both(2));
      random_stream dice({loss, 7});
      link.filter = [&](std::size_t, bytes const&) { return !dice.chance(loss); };
      session under(link, one, two, ip(address));
      under.transfer(*under.client, *under.server, 300'000);
    }
  }
}

TEST_CASE("a router with a smaller MTU behind the link is found and obeyed") {
  for (bool const is_v6 : {false, true}) {
    INFO((is_v6 ? "IPv6" : "IPv4"));
    ethernet link;
    auto& one = link.add(both(1));
    auto& two = link.add(both(2));
    auto const from = is_v6 ? ip("2001:db8::1") : ip("10.0.0.1");
    auto const to = is_v6 ? ip("2001:db8::2") : ip("10.0.0.2");
    session under(link, one, two, to);
    std::size_t refused = 0;
    link.filter = [&](std::size_t sender, bytes const& frame) {
      if (sender != 0 || frame.size() <= 1314) return true;
      ++refused;
      auto const packet = payload_of(frame);
      bytes const quote(packet.begin(), packet.begin() + 80);
      auto const answer = is_v6 ? ipv6_packet(to, from, wire::protocol::icmp_v6, icmp_message(true, to, from, 2, 0, 1300, quote))
                                : ipv4_packet(to, from, wire::protocol::icmp_v4, icmp_message(false, to, from, 3, 4, 1300, quote));
      one.receive(ethernet_frame(mac(1), mac(2), is_v6 ? wire::ether_type::ipv6 : wire::ether_type::ipv4, answer), link.now);
      return false;
    };
    under.transfer(*under.client, *under.server, 200'000, 60s);
    CHECK(refused > 0);
    CHECK(refused <= 20);
  }
}

TEST_CASE("a connection to nobody ends in unreachable when no neighbour answers, in refused when one refuses") {
  ethernet link;
  auto& one = link.add(both(1));
  link.add(both(2));
  auto* const nobody = one->tcp().connect(endpoint{ip("10.0.0.77"), 80}, {}, link.now).value();
  auto* const refused = one->tcp().connect(endpoint{ip("10.0.0.2"), 81}, {}, link.now).value();
  link.run(1s);
  CHECK(refused->failure() == net_error::refused);
  link.run(5s);
  CHECK(nobody->failure() == net_error::unreachable);
  CHECK(one->tcp().connect(endpoint{ip("192.0.2.1"), 80}, {}, link.now).error().is(net_error::unreachable));
  nobody->release(link.now);
  refused->release(link.now);
}

TEST_CASE("a host connects to itself without its device") {
  ethernet link;
  auto& one = link.add(both(1));
  link.settle();
  for (auto const* address : {"127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"}) {
    INFO(address);
    session under(link, one, one, ip(address));
    under.transfer(*under.client, *under.server, 200'000);
  }
  for (auto const& frame : link.frames) {
    auto const type = link_of(frame).type;
    bool const is_stream = frame.size() > 34 && ((type == wire::ether_type::ipv4 && frame[23] == std::byte{6}) ||
                                                 (type == wire::ether_type::ipv6 && frame[20] == std::byte{6}));
    CHECK_FALSE(is_stream);
  }
}

TEST_CASE("buffers come back when connections are over") {
  ethernet link;
  auto& one = link.add(both(1));
  auto& two = link.add(both(2));
  {
    session under(link, one, two, ip("10.0.0.2"));
    under.transfer(*under.client, *under.server, 100'000);
  }
  link.run(300s);
  CHECK(one->tcp().connections() == 0);
  CHECK(two->tcp().connections() == 0);
  CHECK(one.pool.used_buffers() == 0);
  CHECK(two.pool.used_buffers() == 0);
}

TEST_CASE("while a connection makes progress neither of its ends is asked for its link address again") {
  ethernet link;
  auto& one = link.add(both(1));
  auto& two = link.add(both(2));
  for (auto const* address : {"10.0.0.2", "2001:db8::2"}) {
    INFO(address);
    session under(link, one, two, ip(address));
    // What was learned in passing is tested once.
    under.transfer(*under.client, *under.server, 100);
    link.run(20s);
    link.frames.clear();
    for (int i = 0; i < 60; ++i) {
      under.transfer(*under.client, *under.server, 100);
      link.run(3s);
    }
    for (auto const& frame : link.frames) {
      REQUIRE(wire::ethernet_header::parse(frame)->type != wire::ether_type::arp);
      bool const is_v6 = wire::ethernet_header::parse(frame)->type == wire::ether_type::ipv6;
      REQUIRE_FALSE((is_v6 && wire::load8(frame, 20) == static_cast<std::uint8_t>(wire::protocol::icmp_v6)));
    }
  }
}

TEST_CASE("a path MTU that TCP found is known to the next connection") {
  ethernet link;
  auto& one = link.add(both(1));
  auto& two = link.add(both(2));
  one->set_device_mtu(800);
  auto* const listener = two->tcp().listen({.address = ip("::"), .port = 80}).value();
  auto* const client =
      one->tcp().connect(endpoint{ip("10.0.0.2"), 80}, {.probe_mtu_from = 512}, link.now).value();
  link.run(100ms);
  auto* const server = listener->accept();
  REQUIRE(server != nullptr);
  one->set_device_mtu(1'500);
  link.filter = [](std::size_t, bytes const& frame) { return frame.size() <= 1'300 + 14; };
  bytes chunk(30'000);
  for (int i = 0; i < 200 && one->path_to(ip("10.0.0.2"), link.now)->mtu_bytes == 1'500; ++i) {
    (void)client->write(chunk, link.now);
    link.run(50ms);
    while (server->read(chunk, link.now).value().value_or(0) != 0) {
    }
  }
  auto const found = one->path_to(ip("10.0.0.2"), link.now)->mtu_bytes;
  CHECK(found <= 1'300);
  CHECK(found > 1'290);
  CHECK(one->path_to(ip("10.0.0.3"), link.now)->mtu_bytes == 1'500);
  client->release(link.now);
  server->release(link.now);
  listener->release(link.now);
}

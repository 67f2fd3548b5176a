// The short way of frames that come in runs: it must end where the ordinary one does.
#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

auto const mine = ip("10.0.0.1");
auto const peer = ip("10.0.0.9");

/// A host that has just heard a datagram from the peer, so that the next one is expected.
struct warm_host {
  host_under_test host{quiet(1, "10.0.0.1/24"), 1};
  udp_port* port = nullptr;
  instant now{};

  warm_host() {
    (void)host.sent(now);
    port = host->bind({mine, 7}).value();
    receive(datagram());
    REQUIRE(read() == pattern(20));
  }
  static bytes datagram(ipv4_options const& options = {}) {
    return ipv4_packet(peer, mine, wire::protocol::udp, udp_datagram({peer, 9}, {mine, 7}, pattern(20)), options);
  }
  void receive(bytes const& packet, mac_address const& to = mac(1), mac_address const& from = mac(9)) {
    host.receive(ethernet_frame(to, from, wire::ether_type::ipv4, packet), now);
  }
  std::optional<bytes> read() {
    bytes into(100);
    auto const got = port->receive(into);
    REQUIRE(got.has_value());
    if (!*got) return std::nullopt;
    into.resize((*got)->size);
    return into;
  }
};

}  // namespace

TEST_CASE("a frame like the one before is delivered, again and again") {
  warm_host under;
  for (int i = 0; i < 3; ++i) {
    under.receive(warm_host::datagram());
    CHECK(under.read() == pattern(20));
  }
  CHECK(under.host->counters().frames_in == 4);
  CHECK(under.host->counters().datagrams_in == 4);
}

TEST_CASE("bytes behind an expected packet are not part of it") {
  warm_host under;
  under.receive(warm_host::datagram() + pattern(12));
  CHECK(under.read() == pattern(20));
}

TEST_CASE("an expected frame that is wrong in one field is treated as any other such frame") {
  warm_host under;
  auto packet = warm_host::datagram();
  auto const counters = [&]() -> core_counters const& { return under.host->counters(); };
  SECTION("its IPv4 checksum") {
    packet[10] ^= std::byte{1};
    under.receive(packet);
    CHECK(counters().wrong_checksums == 1);
  }
  SECTION("its UDP checksum") {
    packet[26] ^= std::byte{1};
    under.receive(packet);
    CHECK(counters().wrong_checksums == 1);
  }
  SECTION("its Ethernet destination") {
    under.receive(packet, mac(2));
    CHECK(counters().not_for_us == 1);
  }
  SECTION("its Ethernet source, a group") {
    under.receive(packet, mac(1), mac_address{{3, 0, 0, 0, 0, 9}});
    CHECK(counters().not_for_us == 1);
  }
  SECTION("its length, beyond the frame") {
    packet.resize(packet.size() - 1);
    under.receive(packet);
    CHECK(counters().malformed == 1);
  }
  SECTION("a fragment") {
    under.receive(warm_host::datagram({.more = true}));
    CHECK(counters().fragments_in == 1);
  }
  SECTION("a later fragment") {
    under.receive(warm_host::datagram({.offset = 8}));
    CHECK(counters().fragments_in == 1);
  }
  SECTION("cut within the UDP header") {
    under.receive(ipv4_packet(peer, mine, wire::protocol::udp, pattern(5)));
    CHECK(counters().malformed == 1);
  }
  CHECK_FALSE(under.read().has_value());
}

TEST_CASE("an address that was lost is expected no more") {
  warm_host under;
  under.host->remove_address(mine);
  under.receive(warm_host::datagram());
  CHECK(under.host->counters().not_for_us == 1);
}

TEST_CASE("a datagram sent by the way the last one took is the same frame") {
  ethernet link;
  auto& one = link.add(quiet(1, "10.0.0.1/24"));
  auto& two = link.add(quiet(2, "10.0.0.2/24"));
  (void)two;
  link.settle();
  auto* const port = one->bind({mine, 7}).value();
  endpoint const to{ip("10.0.0.2"), 9};
  // The first waits for the neighbour's answer and is built step by step; later ones have a frame to begin with.
  for (std::size_t const size : {0u, 1u, 63u, 86u, 87u, 200u}) {
    link.frames.clear();
    one->remove_route({ip("192.0.2.0"), 24});  // whatever is remembered of ways is void
    REQUIRE(port->send(pattern(size), to, link.now));
    REQUIRE(port->send(pattern(size), to, link.now));
    link.settle();
    std::vector<bytes> datagrams;
    for (auto const& frame : link.frames) {
      if (frame[5] == std::byte{2} && frame[23] == std::byte{17}) datagrams.push_back(frame);
    }
    REQUIRE(datagrams.size() == 2);
    CHECK(datagrams[0] == datagrams[1]);
    CHECK(datagrams[0].size() == 14 + 20 + 8 + size);
  }
}

#include "runtime/net/link/neighbor_cache.hpp"

#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using host::neighbor_cache;
using host::neighbor_state;

namespace {

struct bench final : host::neighbor_events {
  network_limits limits;
  host::packet_pool pool{1000};
  instant now{};
  neighbor_cache cache;
  int multicast = 0, unicast = 0, sent = 0, lost = 0, changes = 0, failed = 0;

  explicit bench(network_limits const& chosen = {})
      : limits(chosen), cache(limits, secrets_of(1), pool, *this, instant{}) {}
  void solicit(ip_address const&, std::optional<mac_address> const& to, instant) override { ++(to ? unicast : multicast); }
  void resolved(host::queued_packet* packet, mac_address const&) override { ++sent, pool.give(packet); }
  void unresolved(host::queued_packet* packet, instant) override { ++lost, pool.give(packet); }
  void neighbor_changed() override { ++changes; }
  void neighbor_failed(ip_address const&) override { ++failed; }

  void send(ip_address const& to) {
    if (cache.find(to, now)) {
      ++sent;
    } else {
      cache.wait_for(to, pool.take(), now);
    }
  }
  void pass(duration length) {
    auto const end = now + length;
    while (cache.next_deadline() <= end) {
      now = std::max(now, cache.next_deadline());
      cache.on_deadline(now);
    }
    now = end;
  }
};

auto const peer = ip("10.0.0.9");

}  // namespace

TEST_CASE("packets wait for the answer and then go in order") {
  bench under;
  under.send(peer);
  under.send(peer);
  CHECK(under.multicast == 1);
  CHECK(under.cache.state(peer) == neighbor_state::incomplete);
  under.cache.advertised(peer, mac(9), true, true, under.now);
  CHECK(under.sent == 2);
  CHECK(under.cache.state(peer) == neighbor_state::reachable);
  CHECK(under.pool.used() == 0);
}

TEST_CASE("only so many packets wait for one address; the oldest goes") {
  bench under;
  for (int i = 0; i < 5; ++i) under.send(peer);
  CHECK(under.cache.counters().queue_dropped == 2);
  CHECK(under.pool.used() == 3);
}

TEST_CASE("a neighbour that never answers is asked three times and given up") {
  bench under;
  under.send(peer);
  under.pass(2900ms);
  CHECK(under.multicast == 3);
  CHECK(under.lost == 0);
  under.pass(200ms);
  CHECK(under.lost == 1);
  CHECK(under.failed == 1);
  CHECK(under.cache.size() == 0);
  CHECK(under.cache.counters().failures == 1);
  CHECK(under.cache.next_deadline() == never);
}

TEST_CASE("a stale neighbour is used, then tested, then given up") {
  bench under;
  under.send(peer);
  under.cache.advertised(peer, mac(9), true, true, under.now);
  under.pass(46s);
  CHECK(under.cache.state(peer) == neighbor_state::stale);
  under.send(peer);
  CHECK(under.sent == 2);
  CHECK(under.cache.state(peer) == neighbor_state::delay);
  under.pass(5s);
  CHECK(under.cache.state(peer) == neighbor_state::probe);
  CHECK(under.unicast == 1);
  SECTION("an answer makes it reachable") {
    under.cache.advertised(peer, std::nullopt, true, false, under.now);
    CHECK(under.cache.state(peer) == neighbor_state::reachable);
  }
  SECTION("no answer removes it") {
    under.pass(3s);
    CHECK(under.unicast == 3);
    CHECK_FALSE(under.cache.state(peer).has_value());
  }
}

TEST_CASE("progress of those above keeps a neighbour reachable, and the lack of it has it asked") {
  bench under;
  under.send(peer);
  under.cache.advertised(peer, mac(9), true, true, under.now);
  SECTION("without a single question") {
    for (int i = 0; i < 50; ++i) {
      under.pass(4s);
      under.send(peer);
      under.cache.confirm(peer, under.now);
    }
    CHECK(under.cache.state(peer) == neighbor_state::reachable);
    CHECK(under.unicast == 0);
  }
  SECTION("at once, and once") {
    under.cache.suspect(peer, under.now);
    under.cache.suspect(peer, under.now);
    CHECK(under.cache.state(peer) == neighbor_state::probe);
    CHECK(under.unicast == 1);
    under.pass(3s);
    CHECK_FALSE(under.cache.state(peer).has_value());
  }
  SECTION("strangers are not remembered") {
    under.cache.forget(peer, under.now);
    under.cache.confirm(peer, under.now);
    under.cache.suspect(peer, under.now);
    CHECK_FALSE(under.cache.state(peer).has_value());
  }
}

TEST_CASE("advertisements change a known neighbour as RFC 4861 appendix C says") {
  bench under;
  under.send(peer);
  under.cache.advertised(peer, mac(9), true, true, under.now);
  SECTION("without override another address makes it stale and is not taken") {
    under.cache.advertised(peer, mac(8), true, false, under.now);
    CHECK(under.cache.state(peer) == neighbor_state::stale);
    CHECK(under.cache.find(peer, under.now)->address == mac(9));
  }
  SECTION("with override it is taken") {
    under.cache.advertised(peer, mac(8), false, true, under.now);
    CHECK(under.cache.state(peer) == neighbor_state::stale);
    CHECK(under.cache.find(peer, under.now)->address == mac(8));
    CHECK(under.changes == 1);
  }
  SECTION("an unsolicited repetition changes nothing") {
    under.cache.advertised(peer, mac(9), false, false, under.now);
    CHECK(under.cache.state(peer) == neighbor_state::reachable);
  }
  SECTION("strangers are not remembered") {
    under.cache.advertised(ip("10.0.0.77"), mac(7), true, true, under.now);
    CHECK(under.cache.size() == 1);
  }
}

TEST_CASE("a scan of the subnet fills neither the cache nor the link") {
  network_limits limits;
  bench under(limits);
  auto const known = ip("10.0.255.1");
  under.send(known);
  under.cache.advertised(known, mac(9), true, true, under.now);
  for (int i = 0; i < 2000; ++i) {
    under.send(ipv4_address{{10, 0, static_cast<std::uint8_t>(i / 250), static_cast<std::uint8_t>(1 + i % 250)}});
  }
  CHECK(under.cache.size() <= limits.neighbors_incomplete + 1);
  CHECK(under.multicast <= 256);
  CHECK(under.cache.counters().solicitations_suppressed > 0);
  CHECK(under.cache.counters().evicted > 0);
  CHECK(under.cache.state(known) == neighbor_state::reachable);
  CHECK(under.pool.used() <= 64 * 3);
}

TEST_CASE("at the limit the least recently used neighbour goes, working ones last") {
  network_limits limits;
  limits.neighbors = 4;
  bench under(limits);
  for (std::uint8_t i = 1; i <= 4; ++i) {
    under.now += 1s;
    auto const address = ipv4_address{{10, 0, 0, i}};
    under.send(address);
    under.cache.advertised(address, mac(i), i != 3, true, under.now);
  }
  under.send(ip("10.0.0.5"));
  CHECK(under.cache.size() == 4);
  CHECK_FALSE(under.cache.state(ip("10.0.0.3")).has_value());
  CHECK(under.cache.state(ip("10.0.0.1")) == neighbor_state::reachable);
  CHECK(under.cache.counters().evicted == 1);
}

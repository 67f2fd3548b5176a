// mirage-tcpip's groups of whole stacks, in virtual time so that the long ones are short: connect, mtu+tcp, iperf,
// socket, keepalive (tests/proofs/mirage_tcpip.toml).
#include "cable.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;

namespace {

constexpr std::uint64_t quick_bytes = 100'000;
constexpr std::uint64_t slow_bytes = 100'000'000;
/// One in a hundred of all; one in ten of those without payload.
constexpr cable_faults uniform{.lost = 10'000};
constexpr cable_faults uniform_empty{.lost_empty = 100'000};

void measure(std::uint64_t bytes, cable_faults const& faults, duration most, std::uint32_t mtu = 1500) {
  for (bool is_v6 : {false, true}) {
    if (is_v6 && mtu < 1280) continue;
    std::uint64_t lost = 0;
    // Short streams lose little: some more of them.
    for (std::uint64_t seed = 1; seed <= (bytes < 1'000'000 ? 20 : 1); ++seed) {
      INFO("SEED=" << seed << (is_v6 ? " IPv6" : " IPv4"));
      cable link(seed, faults, mtu);
      cable_session under(link, is_v6);
      REQUIRE(under.server != nullptr);
      CHECK(under.send(*under.client, *under.server, bytes, most));
      CHECK(under.finish());
      lost += link.lost;
    }
    if (faults.lost + faults.lost_empty != 0) CHECK(lost > 10);
  }
}

/// A greeting from the server, read and compared.
bool greet(cable& link, bool is_v6) {
  cable_session under(link, is_v6, 80);
  if (under.server == nullptr) return false;
  bool const good = under.send(*under.server, *under.client, 4'096, 120s) && under.send(*under.client, *under.server, 10, 120s);
  return under.finish() && good;
}

}  // namespace

TEST_CASE("Two hosts connect, say something and leave nothing behind, over either family") {
  for (bool is_v6 : {false, true}) {
    cable link(1);
    CHECK(greet(link, is_v6));
  }
}

TEST_CASE("A hundred connections succeed where one in ten segments without payload is lost") {
  for (bool is_v6 : {false, true}) {
    std::uint64_t lost = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      INFO("SEED=" << seed << (is_v6 ? " IPv6" : " IPv4"));
      cable link(seed, uniform_empty);
      REQUIRE(greet(link, is_v6));
      lost += link.lost;
    }
    CHECK(lost > 50);
  }
}

TEST_CASE("Two hosts connect although each frame has bytes behind its packet") {
  for (bool is_v6 : {false, true}) {
    cable link(2, {.trailing_bytes = true});
    CHECK(greet(link, is_v6));
  }
}

TEST_CASE("A large request and a large response pass at several MTUs, cut into full segments") {
  for (std::uint32_t const mtu : {600u, 1280u, 1500u, 9000u}) {
    INFO("MTU " << mtu);
    cable link(3, {}, mtu);
    cable_session under(link, false);
    REQUIRE(under.server != nullptr);
    auto const before = link.frames;
    CHECK(under.send(*under.client, *under.server, 2'000'000, 10s));
    // Full segments and their acknowledgments, every second one at least: not unnecessarily many frames.
    auto const segments = 2'000'000 / (mtu - 52) + 1;
    CHECK(link.frames - before < segments * 21 / 10 + 40);
    CHECK(under.send(*under.server, *under.client, 2'000'000, 10s));
    CHECK(under.finish());
  }
}

TEST_CASE("A long stream at a small MTU arrives whole") { measure(quick_bytes, {}, 120s, 600); }
TEST_CASE("A stream of 100 kB arrives whole") { measure(quick_bytes, {}, 120s); }
TEST_CASE("A stream of 100 kB arrives whole where no frame may exceed the MTU") { measure(quick_bytes, {}, 120s, 1400); }
TEST_CASE("A stream of 100 kB arrives whole with bytes behind each packet") {
  measure(quick_bytes, {.trailing_bytes = true}, 120s);
}
TEST_CASE("A stream of 100 kB arrives whole where one in a hundred frames is lost") { measure(quick_bytes, uniform, 120s); }
TEST_CASE("A stream of 100 kB arrives whole where one in ten segments without payload is lost") {
  measure(quick_bytes, uniform_empty, 240s);
}
TEST_CASE("A stream of 100 MB arrives whole") { measure(slow_bytes, {}, 240s); }
TEST_CASE("A stream of 100 MB arrives whole where one in a hundred frames is lost") { measure(slow_bytes, uniform, 240s); }
TEST_CASE("A stream of 100 MB arrives whole where one in ten segments without payload is lost") {
  measure(slow_bytes, uniform_empty, 240s);
}
TEST_CASE("A stream goes on after a second in which nothing passed") {
  measure(2 * 1'000'000, {.cut_after_bytes = 1'000'000}, 120s);
}

TEST_CASE("Keepalive ends a connection when the network is switched off") {
  cable link(4);
  cable_session under(link, false);
  REQUIRE(under.server != nullptr);
  auto& with = under.client->options();
  with.keepalive = true;
  with.keepalive_idle = 0s;
  with.keepalive_interval = 1s;
  with.keepalive_probes = 3;
  link.run(500ms);
  REQUIRE_FALSE(under.client->failure());
  link.is_cut = true;
  link.run(15s);
  CHECK(under.client->failure() == net_error::timed_out);
}

TEST_CASE("Listeners, connections and UDP ports give everything back, whatever the host's families") {
  struct family {
    char const* name;
    bool v4, v6;
  };
  for (auto const& with : {family{"any", true, true}, {"v4", true, true}, {"v4v6", true, true}, {"v4 only", true, false},
                           {"v6 only", false, true}}) {
    for (bool is_tcp : {true, false}) {
      INFO(with.name << (is_tcp ? " TCP" : " UDP"));
      auto configuration = quiet(1, "10.0.0.1/24");
      configuration.addresses.clear();
      if (with.v4) configuration.addresses.push_back(net_of("10.0.0.1/24"));
      if (with.v6) configuration.addresses.push_back(net_of("2001:db8::1/64"));
      host_under_test under(configuration, 1);
      std::vector<ip_address> all{ip("::")};
      if (with.v4) all.insert(all.end(), {ip("0.0.0.0"), ip("10.0.0.1")});
      if (with.v6) all.push_back(ip("2001:db8::1"));
      for (int round = 0; round < 3; ++round) {
        for (auto const& address : all) {
          if (is_tcp) {
            auto const made = under->tcp().listen({.address = address, .port = 80});
            REQUIRE(made);
            auto const to = address.is_unspecified() ? (with.v4 ? ip("10.0.0.1") : ip("2001:db8::1")) : address;
            auto const opened = under->tcp().connect({to, 80}, {}, instant{});
            REQUIRE(opened);
            (void)under.sent(instant{});
            auto* const taken = (*made)->accept();
            REQUIRE(taken != nullptr);
            taken->abort(instant{});
            taken->release(instant{});
            (*opened)->release(instant{});
            (void)under.sent(instant{});
            (*made)->release(instant{});
          } else {
            auto const made = under->bind({address, 53});
            REQUIRE(made);
            CHECK(under->bind({address, 53}).error().is(net_error::address_in_use));
            (*made)->release();
          }
        }
      }
      CHECK(under->tcp().connections() == 0);
      CHECK(under.pool.used_buffers() == 0);
    }
  }
}

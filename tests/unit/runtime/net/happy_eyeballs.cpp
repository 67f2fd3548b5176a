#include "morgana/net/happy_eyeballs.hpp"

#include <catch2/catch.hpp>

#include "scripted_network.hpp"

namespace morgana::net::testing {
namespace {

using namespace std::chrono_literals;

/// Addresses by family, each after its time.
struct scripted_names {
  address_list v6, v4;
  duration v6_delay{}, v4_delay{};
  std::optional<net_error> v6_problem, v4_problem;
  task<result<address_list>> resolve(std::string_view name, instant deadline) {
    return resolve(name, address_family::any, deadline);
  }
  task<result<address_list>> resolve(std::string_view, address_family family, instant) {
    bool const is_v4 = family == address_family::v4;
    co_await sleep_for(is_v4 ? v4_delay : v6_delay);
    auto const& problem = is_v4 ? v4_problem : v6_problem;
    if (problem) co_return failure(*problem);
    co_return is_v4 ? v4 : v6;
  }
};
static_assert(resolver<scripted_names>);

struct dial {
  explicit dial(int v6 = 2, int v4 = 2) {
    for (int i = 1; i <= v6; ++i) (void)names.v6.add(ip(i == 1 ? "2001:db8::1" : "2001:db8::2"));
    for (int i = 1; i <= v4; ++i) (void)names.v4.add(ip(i == 1 ? "192.0.2.1" : "192.0.2.2"));
    if (v6 == 0) names.v6_problem = net_error::name_not_found;
    if (v4 == 0) names.v4_problem = net_error::name_not_found;
  }
  result<endpoint> call(duration length = 30s, resolver_limits const& limits = {}) {
    auto const run = [&]() -> task<result<endpoint>> {
      auto stream =
          co_await connect_by_name(network, names, "www.example", 80, test::fake().now + length, limits);
      if (!stream) co_return failure(std::move(stream.error()));
      co_return stream->peer();
    };
    return world.run(run()).value();
  }
  void connects(std::function<scripted_network::connection_plan(endpoint const&)> how) {
    network.on_connect = how;
  }

  test::world world;
  scripted_network network;
  scripted_names names;
};

scripted_network::connection_plan never_answers() {
  return {.delay = 1000s, .problem = {}, .answer = {}};
}
scripted_network::connection_plan refuses() {
  return {.delay = 1ms, .problem = net_error::refused, .answer = {}};
}
scripted_network::connection_plan works() {
  return {.delay = 20ms, .problem = {}, .answer = {}};
}

}  // namespace

TEST_CASE("IPv6 that works is used, and IPv4 left alone", "[happy-eyeballs]") {
  dial d;
  d.connects([](endpoint const&) { return works(); });
  CHECK(d.call().value() == endpoint{ip("2001:db8::1"), 80});
  CHECK(d.network.connected.size() == 1);
  CHECK(d.world.elapsed() == 20ms);
  CHECK(d.network.open_streams == 0);
}

TEST_CASE("IPv6 that is dead costs a quarter of a second", "[happy-eyeballs]") {
  dial d;
  d.connects([](endpoint const& to) { return to.address.is_v6() ? never_answers() : works(); });
  CHECK(d.call().value() == endpoint{ip("192.0.2.1"), 80});
  CHECK(d.world.elapsed() == 270ms);
  CHECK(d.network.connected.size() == 2);
}

TEST_CASE("what is refused is not waited for, and the families take turns", "[happy-eyeballs]") {
  dial d;
  d.connects([](endpoint const&) { return refuses(); });
  CHECK(d.call().error().is(net_error::refused));
  CHECK(d.world.elapsed() == 4ms);
  REQUIRE(d.network.connected.size() == 4);
  CHECK(d.network.connected[0].address == ip("2001:db8::1"));
  CHECK(d.network.connected[1].address == ip("192.0.2.1"));
  CHECK(d.network.connected[2].address == ip("2001:db8::2"));
  CHECK(d.network.connected[3].address == ip("192.0.2.2"));
}

TEST_CASE("IPv4 addresses wait a moment for IPv6 ones", "[happy-eyeballs]") {
  dial late;
  late.names.v6_delay = 40ms;
  late.connects([](endpoint const&) { return works(); });
  CHECK(late.call().value().address == ip("2001:db8::1"));
  CHECK(late.world.elapsed() == 60ms);

  dial later;
  later.names.v6_delay = 400ms;
  later.connects([](endpoint const&) { return works(); });
  CHECK(later.call().value().address == ip("192.0.2.1"));
  CHECK(later.world.elapsed() == 70ms);
}

TEST_CASE("with one family the other one is not waited for once it is known to be missing",
          "[happy-eyeballs]") {
  dial four(0, 2);
  four.connects([](endpoint const&) { return works(); });
  CHECK(four.call().value().address == ip("192.0.2.1"));
  CHECK(four.world.elapsed() == 20ms);
  dial six(1, 0);
  six.connects([](endpoint const&) { return works(); });
  CHECK(six.call().value().address == ip("2001:db8::1"));
}

TEST_CASE("no address at all is the resolver's error", "[happy-eyeballs]") {
  dial none(0, 0);
  CHECK(none.call().error().is(net_error::name_not_found));
  dial down(0, 0);
  down.names.v4_problem = net_error::timed_out;
  CHECK(down.call().error().is(net_error::timed_out));
}

TEST_CASE("the deadline ends it, and the attempts with it", "[happy-eyeballs]") {
  dial d;
  d.connects([](endpoint const&) { return never_answers(); });
  CHECK(d.call(2s).error().is(net_error::timed_out));
  CHECK(d.world.elapsed() == 2s);
  CHECK(d.network.connected.size() == 4);
  CHECK(d.world.executor().armed_timers() == 0);
}

TEST_CASE("so many attempts run at once", "[happy-eyeballs]") {
  dial d;
  d.connects([](endpoint const&) { return never_answers(); });
  resolver_limits limits;
  limits.connection_attempts = 2;
  CHECK_FALSE(d.call(5s, limits));
  CHECK(d.network.connected.size() == 2);
}

}  // namespace morgana::net::testing

// How stacks over a device end: with it, after what was written, and after a peer that is silent.
#include "direct_hosts.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using namespace morgana::test;

TEST_CASE("when the device is gone, every wait ends in unreachable") {
  pair_of_hosts hosts;
  auto done = hosts.w.run([](pair_of_hosts& on) -> task<result<void>> {
    auto listening = on.second->listen({.port = 7});
    auto sink = on.second->bind({{}, 9});
    auto other = on.second->listen({.port = 8});
    auto [client, server] = co_await all(
        [](network& from) -> task<result<direct_stream>> {
          co_return co_await from.connect(endpoint{second_v4, 7}, never);
        }(*on.first),
        [](direct_listener& by) -> task<result<direct_stream>> {
          co_return co_await by.accept(never);
        }(*listening));
    if (!client || !server) co_return failure(core_error::invalid_argument);
    auto const cut = [](cable_end& at) -> task<void> {
      co_await sleep_for(1s);
      at.cut();
    };
    auto const read = [](direct_stream& from) -> task<void> {
      std::byte some[4];
      auto const got = co_await from.read(some, never);
      CHECK((!got && got.error().is(net_error::unreachable)));
    };
    auto const receive = [](direct_datagrams& by) -> task<void> {
      std::byte some[4];
      auto const got = co_await by.receive(some, never);
      CHECK((!got && got.error().is(net_error::unreachable)));
    };
    auto const accept = [](direct_listener& by) -> task<void> {
      auto const got = co_await by.accept(never);
      CHECK((!got && got.error().is(net_error::unreachable)));
    };
    auto const ping = [](network& from) -> task<void> {
      auto const got = co_await from.ping(*ip_address::parse("10.0.0.99"), never);
      CHECK_FALSE(got);
    };
    (void)co_await all(cut(on.one), read(*client), read(*server), receive(*sink), accept(*other),
                       ping(*on.second));
    auto const again = co_await on.first->connect(endpoint{second_v4, 7}, never);
    CHECK((!again && again.error().is(net_error::unreachable)));
    co_return {};
  }(hosts));
  CHECK((done && done->has_value()));
  CHECK(hosts.w.log().find("device is gone") != std::string::npos);
}

TEST_CASE("disconnecting lets what was written arrive") {
  pair_of_hosts hosts;
  auto got = hosts.w.run(all(
      [](network& on) -> task<result<std::size_t>> {
        auto listening = on.listen({.port = 7});
        auto stream = co_await listening->accept(never);
        co_await sleep_for(500ms);  // the window closes meanwhile
        co_return co_await take_pattern(*stream, 10'000);
      }(*hosts.second),
      [](std::unique_ptr<network>& on) -> task<result<void>> {
        {
          auto stream = co_await on->connect(endpoint{second_v4, 7}, never);
          if (auto sent = co_await send_pattern(*stream, 500'000, 5000); !sent) co_return sent;
        }
        co_await on->disconnect();
        on.reset();
        co_return {};
      }(hosts.first)));
  REQUIRE(got.has_value());
  REQUIRE(std::get<0>(*got).has_value());
  CHECK(*std::get<0>(*got) == 500'000);
}

TEST_CASE("disconnecting from a peer that does not answer ends all the same") {
  pair_of_hosts hosts;
  auto const start = hosts.w.elapsed();
  auto ended = hosts.w.run([](pair_of_hosts& on) -> task<result<void>> {
    auto listening = on.second->listen({.port = 7});
    {
      auto stream = co_await on.first->connect(endpoint{second_v4, 7}, never);
      if (!stream) co_return failure(stream.error());
      on.one.filter = [](segment const&) { return false; };
      std::byte const some[100]{};
      if (auto sent = co_await stream->write(some, never); !sent) co_return sent;
    }
    co_await on.first->disconnect();
    co_return {};
  }(hosts));
  CHECK((ended && ended->has_value()));
  CHECK(hosts.w.elapsed() - start <= direct_host::drain_time + 1s);
}

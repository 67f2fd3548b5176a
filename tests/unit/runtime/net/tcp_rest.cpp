// A connection that waits for its user or its peer keeps little memory, and goes on as if it had kept all.
#include <catch2/catch.hpp>

#include "runtime/net/tcp/machine.hpp"
#include "tcp_support.hpp"

using namespace tcp_test;

namespace {

struct resting_pair {
  host left{1, v4(1)}, right{2, v4(2)};
  network between{3, left, right, {}};
  tcp::listener* listening = nullptr;
  tcp::connection* client = nullptr;
  tcp::connection* server = nullptr;

  explicit resting_pair(tcp::settings const& with = {}) {
    listening = *right.engine.listen({.port = 7});
    listening->options() = with;
    client = *left.engine.connect({v4(2), 7}, with, between.now);
    between.run_for(1s);
    server = listening->accept();
    REQUIRE(server != nullptr);
    talk();
  }
  ~resting_pair() {
    for (auto* one : {client, server}) {
      if (one != nullptr) one->release(between.now);
    }
  }
  resting_pair(resting_pair const&) = delete;
  resting_pair& operator=(resting_pair const&) = delete;

  /// 64 bytes each way, and three seconds of nothing.
  void talk() {
    for (auto [from, to] : {std::pair(client, server), std::pair(server, client)}) {
      std::array<std::byte, 64> said{};
      for (std::size_t i = 0; i < said.size(); ++i) said[i] = content(5, ++said_bytes_);
      REQUIRE(from->write(said, between.now).value() == said.size());
      between.run_for(50ms);
      std::array<std::byte, 128> heard;
      REQUIRE(to->read(heard, between.now).value() == said.size());
      REQUIRE(std::equal(said.begin(), said.end(), heard.begin()));
    }
    between.run_for(3s);
  }
  static bool rests(tcp::connection* one) { return static_cast<tcp::tcb*>(one)->busy == nullptr; }

 private:
  std::uint64_t said_bytes_ = 0;
};

}  // namespace

TEST_CASE("a connection with nothing under way gives back what it does not need, and talks on") {
  resting_pair two;
  for (unsigned i = 0; i < 3; ++i) {
    REQUIRE(resting_pair::rests(two.client));
    REQUIRE(resting_pair::rests(two.server));
    two.talk();
  }
  CHECK(two.client->info().bytes_acknowledged == 4 * 64);
  CHECK(two.client->info().bytes_received == 4 * 64);
  CHECK(two.client->info().segments_retransmitted == 0);
  CHECK(resting_pair::rests(two.client));  // who asks changes nothing
  std::array<std::byte, 16> none;
  CHECK(two.server->read(none, two.between.now).value() == std::nullopt);
  CHECK(two.server->peek().empty());
  two.server->consume(1, two.between.now);
  CHECK(resting_pair::rests(two.server));
}

TEST_CASE("a connection that is never used gives it back, too") {
  host left{1, v4(1)}, right{2, v4(2)};
  network between{3, left, right, {}};
  auto* const listening = *right.engine.listen({.port = 7});
  auto* const client = *left.engine.connect({v4(2), 7}, {}, between.now);
  between.run_for(5s);
  auto* const server = listening->accept();
  REQUIRE(server != nullptr);
  between.run_for(3s);
  CHECK(resting_pair::rests(client));
  CHECK(resting_pair::rests(server));
}

TEST_CASE("a resting connection ends in order, by either end") {
  resting_pair two;
  two.client->shutdown(two.between.now);
  two.between.run_for(1s);
  std::array<std::byte, 16> none;
  CHECK(two.server->read(none, two.between.now).value() == 0);
  CHECK(two.server->state() == tcp::state::close_wait);
  two.between.run_for(3s);
  CHECK(resting_pair::rests(two.server));
  CHECK(two.server->read(none, two.between.now).value() == 0);
  std::array<std::byte, 3> last{};
  REQUIRE(two.server->write(last, two.between.now).value() == 3);
  two.between.run_for(1s);
  CHECK(two.client->read(none, two.between.now).value() == 3);
  std::exchange(two.server, nullptr)->release(two.between.now);
  two.between.run_for(1s);
  CHECK(two.client->read(none, two.between.now).value() == 0);
  CHECK(two.client->state() == tcp::state::time_wait);
}

TEST_CASE("a resting connection is reset, by either end") {
  resting_pair two;
  two.client->abort(two.between.now);
  two.between.run_for(1s);
  CHECK(two.server->failure() == net_error::reset);
}

TEST_CASE("keepalive finds out that the peer of a resting connection is gone") {
  tcp::settings with;
  with.keepalive = true;
  with.keepalive_idle = 10s;
  with.keepalive_interval = 1s;
  with.keepalive_probes = 3;
  resting_pair two(with);
  two.between.run_for(60s);
  CHECK(resting_pair::rests(two.client));
  CHECK(two.client->failure() == std::nullopt);
  two.between.cut = true;
  two.between.run_for(20s);
  CHECK(two.client->failure() == net_error::timed_out);
}

TEST_CASE("settings of one connection are changed for it alone, though others were told the same") {
  host left{1, v4(1)}, right{2, v4(2)};
  tcp::settings with;
  with.differentiated_services = 10;
  auto* const first = *left.engine.connect({v4(2), 7}, with, instant());
  auto* const second = *left.engine.connect({v4(2), 7}, with, instant());
  first->options().differentiated_services = 46;
  CHECK(second->options().differentiated_services == 10);
  CHECK(first->options().differentiated_services == 46);
  auto* const third = *left.engine.connect({v4(2), 7}, with, instant());
  CHECK(third->options().differentiated_services == 10);
  for (auto* one : {first, second, third}) one->release(instant());
}

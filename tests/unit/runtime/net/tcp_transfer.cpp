// Whole connections between two engines: every byte arrives once and in order whatever the path does.
#include <catch2/catch.hpp>

#include "tcp_support.hpp"

using namespace tcp_test;

namespace {

struct outcome {
  bool finished = false, wrong = false;
  duration length{};
  std::uint64_t carried = 0;
  std::string why;
};

/// Both send `bytes` and close; the server is the right one.
outcome transfer(std::uint64_t seed, faults const& how, std::uint64_t bytes, tcp::settings const& with = {},
                 bool both_ways = true, bool is_v6 = false, bool offload = false, duration most = 600s) {
  host left(seed, is_v6 ? v6(1) : v4(1)), right(seed + 1, is_v6 ? v6(2) : v4(2));
  left.route.how.segmentation = left.route.how.checksum = offload;
  right.route.how.segmentation = right.route.how.checksum = offload;
  outcome result;
  {
    network net(seed, left, right, how);
    auto listening = right.engine.listen({.port = 80});
    REQUIRE(listening);
    (*listening)->options() = with;
    auto opened = left.engine.connect({right.route.how.source, 80}, with, net.now);
    REQUIRE(opened);
    auto* const client = *opened;
    tcp::connection* server = nullptr;
    writer up{client, seed, bytes}, down{nullptr, seed + 7, both_ways ? bytes : 0};
    reader from_up{nullptr, seed}, from_down{client, seed + 7};
    auto const end = net.now + most;
    while (net.now < end) {
      if (server == nullptr && (server = (*listening)->accept()) != nullptr) down.to = from_up.from = server;
      up.go(net.now);
      from_down.go(net.now);
      if (server != nullptr) {
        down.go(net.now);
        from_up.go(net.now);
      }
      if (from_up.ended && from_down.ended) break;
      if (from_up.failed || from_down.failed) {
        result.why = "failed";
        break;
      }
      net.exchange();
      // Every connection with something outstanding has a deadline.
      if (client->info().bytes_in_flight != 0) CHECK(left.engine.next_deadline() != never);
      if (!net.step(end)) {
        result.why = "nothing would ever happen";
        break;
      }
    }
    result.length = net.now.time_since_epoch();
    result.finished =
        from_up.ended && from_down.ended && from_up.done == bytes && from_down.done == down.total;
    result.wrong = from_up.wrong || from_down.wrong;
    client->release(net.now);
    if (server != nullptr) server->release(net.now);
    net.run_for(400s);
    CHECK(left.engine.connections() == 0);
    CHECK(right.engine.connections() == 0);
    result.carried = net.carried;
  }
  CHECK(left.pool.used_buffers() == 0);
  CHECK(right.pool.used_buffers() == 0);
  return result;
}

}  // namespace

TEST_CASE("Two engines open, carry a megabyte each way and close") {
  for (bool is_v6 : {false, true}) {
    auto const done = transfer(1, {}, 1 << 20, {}, true, is_v6);
    INFO(done.why);
    CHECK(done.finished);
    CHECK_FALSE(done.wrong);
    CHECK(done.length < 3s);
  }
}

TEST_CASE("Super-segments carry the same bytes") {
  auto const done = transfer(2, {}, 4 << 20, {}, true, false, true);
  INFO(done.why);
  CHECK(done.finished);
  CHECK_FALSE(done.wrong);
}

TEST_CASE("Streams survive loss, duplication, reordering and corruption, seed by seed") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    random_stream choice(secrets(seed).jitter);
    faults how;
    how.lost = static_cast<std::uint32_t>(choice.below(120'000));
    how.duplicated = choice.chance(500'000) ? static_cast<std::uint32_t>(choice.below(50'000)) : 0;
    how.reordered = choice.chance(500'000) ? static_cast<std::uint32_t>(choice.below(300'000)) : 0;
    how.corrupted = choice.chance(300'000) ? static_cast<std::uint32_t>(choice.below(30'000)) : 0;
    how.marked = static_cast<std::uint32_t>(choice.below(50'000));
    how.delay = duration(1ms) * static_cast<std::int64_t>(1 + choice.below(60));
    if (choice.chance(300'000)) how.bytes_per_s = 50'000 + choice.below(2'000'000);
    tcp::settings with;
    with.no_delay = choice.chance(500'000);
    with.ecn = choice.chance(500'000);
    with.control =
        choice.chance(500'000) ? tcp::congestion_control::cubic : tcp::congestion_control::new_reno;
    with.receive_buffer_bytes = 4'096 + static_cast<std::uint32_t>(choice.below(200'000));
    with.send_buffer_bytes = 2'000 + static_cast<std::uint32_t>(choice.below(200'000));
    INFO("SEED=" << seed << " lost " << how.lost << " of a million");
    auto const done = transfer(seed, how, 1'000 + choice.below(200'000), with, choice.chance(500'000),
                               choice.chance(300'000), choice.chance(300'000), 3'000s);
    INFO(done.why << " after " << done.length / 1ms << " ms");
    REQUIRE(done.finished);
    REQUIRE_FALSE(done.wrong);
  }
}

TEST_CASE("The same seed makes the same trace") {
  faults how{.lost = 50'000, .duplicated = 10'000, .reordered = 100'000};
  auto const first = transfer(77, how, 300'000);
  auto const second = transfer(77, how, 300'000);
  CHECK(first.carried == second.carried);
  CHECK(first.length == second.length);
}

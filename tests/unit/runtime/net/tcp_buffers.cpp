// Buffers that grow with the flow, and those that do not.
#include <catch2/catch.hpp>

#include "tcp_support.hpp"

using namespace tcp_test;

namespace {

struct outcome {
  std::uint64_t bytes = 0;  ///< read in the last of the seconds
  std::uint32_t window = 0;
};

/// A bulk transfer through a link of so many bytes a second and 25 ms each way; what its last second carried.
outcome bulk(std::uint64_t bytes_per_s, int seconds, tcp::settings const& with,
             network_limits const& limits = {}) {
  host left(1, v4(1), limits), right(2, v4(2), limits);
  left.route.how.segmentation = left.route.how.checksum = true;
  right.route.how = left.route.how;
  right.route.how.source = v4(2);
  network net(3, left, right, {.delay = 25ms, .bytes_per_s = bytes_per_s, .queue_bytes = 16u << 20});
  net.segments_max = 10'000'000;
  auto* const listening = right.engine.listen({.address = v4(2), .port = 80}).value();
  listening->options() = with;
  auto* const from = left.engine.connect({v4(1), 5'000}, {v4(2), 80}, with, net.now).value();
  net.run_for(200ms);
  auto* const to = listening->accept();
  REQUIRE(to != nullptr);
  std::vector<std::byte> chunk(64 * 1024);
  outcome found;
  auto const end = net.now + seconds * duration(1s);
  while (net.now < end) {
    while (from->write(chunk, net.now).value() == chunk.size()) {
    }
    for (;;) {
      auto const got = to->read(chunk, net.now);
      if (!got.value()) break;
      if (net.now >= end - 1s) found.bytes += **got;
    }
    net.step(end);
  }
  found.window = from->info().send_window_bytes;
  return found;
}

}  // namespace

TEST_CASE("A default connection fills a gigabit over fifty milliseconds") {
  constexpr std::uint64_t gigabit = 125'000'000;
  auto const found = bulk(gigabit, 4, {});
  CHECK(found.bytes > gigabit * 85 / 100);
  CHECK(found.window > 6'250'000);
}

TEST_CASE("A buffer whose size was chosen stays as it is") {
  auto const found = bulk(125'000'000, 2, {.receive_buffer_bytes = 200'000});
  CHECK(found.window <= 200'000);
  CHECK(found.bytes < 5'000'000);
}

TEST_CASE("Buffers do not grow beyond their limits") {
  network_limits few;
  few.receive_buffer_bytes = 500'000;
  auto const found = bulk(125'000'000, 2, {}, few);
  CHECK(found.window <= 500'000);
  CHECK(found.window > 400'000);
}

TEST_CASE("A user who reads slowly does not make the window grow") {
  host left(1, v4(1)), right(2, v4(2));
  network net(3, left, right, {.delay = 5ms});
  auto* const listening = right.engine.listen({.address = v4(2), .port = 80}).value();
  auto* const from = left.engine.connect({v4(1), 5'000}, {v4(2), 80}, {}, net.now).value();
  net.run_for(100ms);
  auto* const to = listening->accept();
  REQUIRE(to != nullptr);
  std::vector<std::byte> chunk(4'096);
  for (int i = 0; i < 300; ++i) {
    while (from->write(chunk, net.now).value() == chunk.size()) {
    }
    (void)to->read(chunk, net.now);
    net.run_for(10ms);
  }
  CHECK(to->info().receive_queue_bytes <= tcp::receive_buffer_bytes_default);
}

// Buffers that grow with the flow, and those that do not.
#include <catch2/catch.hpp>

#include "tcp_support.hpp"

using namespace tcp_test;

namespace {

/// Two hosts and a connection between them.
struct connected {
  explicit connected(duration delay) : net(3, left, right, {.delay = delay}) {
    auto* const listening = right.engine.listen({.address = v4(2), .port = 80}).value();
    from = left.engine.connect({v4(1), 5'000}, {v4(2), 80}, {}, net.now).value();
    net.run_for(8 * delay);
    to = listening->accept();
    REQUIRE(to != nullptr);
  }
  host left{1, v4(1)}, right{2, v4(2)};
  network net;
  tcp::connection* from = nullptr;
  tcp::connection* to = nullptr;
};

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

TEST_CASE("A window that grows with its reader does not hold back slow start") {
  connected pair(25ms);
  auto& [left, right, net, from, to] = pair;
  std::vector<std::byte> chunk(64 * 1024);
  std::uint32_t largest = 0;
  while (largest < 2'000'000) {
    while (from->write(chunk, net.now).value() == chunk.size()) {
    }
    while (to->read(chunk, net.now).value()) {
    }
    REQUIRE(net.step(instant(10s)));
    auto const info = from->info();
    largest = info.congestion_window_bytes;
    REQUIRE(info.send_window_bytes > info.bytes_in_flight);
  }
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
  connected pair(5ms);
  auto& [left, right, net, from, to] = pair;
  std::vector<std::byte> chunk(4'096);
  for (int i = 0; i < 300; ++i) {
    while (from->write(chunk, net.now).value() == chunk.size()) {
    }
    (void)to->read(chunk, net.now);
    net.run_for(10ms);
  }
  CHECK(to->info().receive_queue_bytes <= tcp::receive_buffer_bytes_default);
}

TEST_CASE("Windows leave a small guest memory for all, however much one peer sends") {
  network_limits limits;
  limits.unread_bytes = 1u << 20;
  host left(1, v4(1)), right(2, v4(2), limits);
  network net(3, left, right, {.delay = 5ms});
  net.segments_max = 10'000'000;
  auto* const listening = right.engine.listen({.address = v4(2), .port = 80}).value();
  struct pair {
    tcp::connection* from;
    tcp::connection* to;
  };
  auto const open = [&](std::uint16_t port) {
    pair made{left.engine.connect({v4(1), port}, {v4(2), 80}, {}, net.now).value(), nullptr};
    net.run_for(100ms);
    made.to = listening->accept();
    REQUIRE(made.to != nullptr);
    return made;
  };
  std::vector<std::byte> chunk(64 * 1024);
  auto const say = [&](pair const& one) {
    while (one.from->write(chunk, net.now).value() == chunk.size()) {
    }
  };
  std::vector<pair> silent;
  for (std::uint16_t i = 0; i < 16; ++i) silent.push_back(open(static_cast<std::uint16_t>(5'000 + i)));
  // A page each: what the engine may hold, and two segments of everybody.
  auto const most = limits.unread_bytes / 4'096 + 2 * silent.size();
  for (int i = 0; i < 100; ++i) {
    for (auto const& one : silent) say(one);
    net.run_for(50ms);
    REQUIRE(right.pool.used_buffers() <= most);
  }
  CHECK(right.engine.counters().windows_held_back != 0);
  // Nobody reads, and still there is room for who does.
  auto const late = open(6'000);
  std::size_t got = 0;
  for (int i = 0; i < 200; ++i) {
    say(late);
    net.run_for(20ms);
    while (auto const count = late.to->read(chunk, net.now).value()) got += *count;
  }
  CHECK(got > 300'000);
  // Once somebody reads again, all is as it was.
  std::size_t read = 0;
  for (int i = 0; i < 1'000; ++i) {
    for (auto const& one : silent) {
      say(one);
      while (auto const count = one.to->read(chunk, net.now).value()) read += *count;
    }
    net.run_for(10ms);
  }
  CHECK(read > 4'000'000);
}

TEST_CASE("A buffer to send from does not grow while buffers are scarce") {
  host left(1, v4(1), {}, instant(), 2048, 8u << 20), right(2, v4(2));
  network net(3, left, right, {.delay = 25ms});
  net.segments_max = 10'000'000;
  auto* const listening = right.engine.listen({.address = v4(2), .port = 80}).value();
  auto* const from = left.engine.connect({v4(1), 5'000}, {v4(2), 80}, {}, net.now).value();
  net.run_for(200ms);
  auto* const to = listening->accept();
  REQUIRE(to != nullptr);
  std::vector<slice> taken;
  while (!left.pool.is_scarce()) taken.push_back(left.pool.take_slice(2048));
  std::vector<std::byte> chunk(64 * 1024);
  std::uint32_t queued = 0;
  for (int i = 0; i < 100; ++i) {
    while (from->write(chunk, net.now).value() == chunk.size()) {
    }
    queued = std::max(queued, from->info().send_queue_bytes);
    net.run_for(50ms);
    while (to->read(chunk, net.now).value()) {
    }
  }
  CHECK(queued <= tcp::send_buffer_bytes_default);
  CHECK(from->info().congestion_window_bytes > tcp::send_buffer_bytes_default / 2);
  taken.clear();
}

TEST_CASE("Small messages under way together are each sent from their own place") {
  connected pair(5ms);
  auto& [left, right, net, from, to] = pair;
  from->options().no_delay = true;
  std::uint64_t written = 0, read = 0;
  for (std::size_t const size : {20u, 15u, 30u}) {
    std::vector<std::byte> bytes(size);
    for (auto& one : bytes) one = content(7, written++);
    REQUIRE(from->write(bytes, net.now).value() == size);
    net.run_for(1ms);   // it goes, and no answer is back
  }
  CHECK(from->info().bytes_in_flight == written);
  net.run_for(50ms);
  std::array<std::byte, 100> into;
  while (auto const got = to->read(into, net.now).value()) {
    for (auto const& one : std::span(into).first(*got)) REQUIRE(one == content(7, read++));
  }
  CHECK(read == written);
}

TEST_CASE("A small message takes no buffer, sent, sent again and received") {
  connected pair(5ms);
  auto& [left, right, net, from, to] = pair;
  std::uint64_t written = 0, read = 0;
  auto const write = [&](std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (auto& one : bytes) one = content(7, written++);
    REQUIRE(from->write(bytes, net.now).value() == count);
  };
  auto const read_all = [&] {
    std::array<std::byte, 50> into;
    for (;;) {
      auto const peeked = to->peek();
      auto const first = peeked.empty() ? std::byte{} : peeked[0];
      auto const got = to->read(into, net.now).value();
      if (!got) break;
      REQUIRE(first == into[0]);
      for (auto const& one : std::span(into).first(*got)) REQUIRE(one == content(7, read++));
    }
  };
  // Alone, and as many as are kept.
  for (std::size_t count : {1u, 64u, 71u}) {
    write(count);
    CHECK(left.pool.used_buffers() == 0);
    net.cut = count == 64;   // the first transmission is lost
    net.run_for(3ms);
    net.cut = false;
    net.run_for(2s);
    CHECK(right.pool.used_buffers() == 0);
    read_all();
    REQUIRE(read == written);
  }
  // More, with some that are not acknowledged yet in front: an odd number, so that every sum of pieces is shifted.
  for (unsigned i = 0; i < 50; ++i) {
    write(1 + i * 37 % 75);
    write(1 + i % 3 * 1'001);
    net.cut = i % 5 == 4;
    net.run_for(i % 4 * 3ms);
    net.cut = false;
    if (i % 3 == 0) read_all();
  }
  net.run_for(30s);
  read_all();
  CHECK(read == written);
  CHECK(left.pool.used_buffers() == 0);
  CHECK(right.pool.used_buffers() == 0);
  CHECK(left.engine.counters().segments_retransmitted != 0);
  CHECK(right.engine.counters().wrong_checksums == 0);
}

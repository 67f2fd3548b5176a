// Every fault of a link does what its number says, and nothing else.
#include <algorithm>

#include "support.hpp"

using namespace morgana;
using namespace morgana::sim;
using namespace morgana::sim::testing;

namespace {
constexpr std::size_t many = 20'000;
}

TEST_CASE("a link without faults delivers everything, at once and in order") {
  pair_of_probes wire({});
  wire.send(100, 60, 1ms);
  wire.all.run_for(1s);
  auto const numbers = wire.arrived();
  REQUIRE(numbers.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(numbers[i] == i);
    CHECK(wire.two->arrivals[i].at == start + static_cast<std::int64_t>(i) * 1ms);
  }
}

TEST_CASE("a constant delay is exact") {
  pair_of_probes wire({.delay = 7ms});
  wire.send(10, 60, 1ms);
  wire.all.run_for(1s);
  REQUIRE(wire.two->arrivals.size() == 10);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(wire.two->arrivals[i].at == start + static_cast<std::int64_t>(i) * 1ms + 7ms);
}

TEST_CASE("an exponential delay has its mean and its minimum, and keeps the order") {
  pair_of_probes wire({.delay = 5ms, .delay_extra = 10ms});
  wire.send(many, 60, 1s);
  wire.all.run_for(1s * static_cast<std::int64_t>(many + 1));
  REQUIRE(wire.two->arrivals.size() == many);
  CHECK(std::ranges::is_sorted(wire.arrived()));
  duration sum{};
  for (std::size_t i = 0; i < many; ++i) {
    auto const took = wire.two->arrivals[i].at - start - static_cast<std::int64_t>(i) * 1s;
    REQUIRE(took >= 5ms);
    sum += took;
  }
  CHECK(sum / static_cast<std::int64_t>(many) > 14'700us);
  CHECK(sum / static_cast<std::int64_t>(many) < 15'300us);
}

TEST_CASE("a rate spaces frames out, and its queue drops what has no room") {
  // 1,000 bytes and 24 of preamble, gap and checksum at 8 Mbit/s take 1.024 ms.
  pair_of_probes wire({.bits_per_s = 8'000'000, .queue_bytes = 10'000});
  wire.send(50, 1000, 0ms);
  wire.all.run_for(1s);
  auto const& got = wire.two->arrivals;
  CHECK(got.size() == 9);  // of 10,240 bytes on the wire, the tenth has no room
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(got[i].at - start == static_cast<std::int64_t>(i + 1) * 1'024us);
  CHECK(wire.all.counters(wire.cable, 0).queue_full == 50 - got.size());
}

TEST_CASE("independent loss loses its share") {
  pair_of_probes wire({.loss_millionths = 100'000});
  wire.send(many, 60, 1us);
  wire.all.run_for(1s);
  auto const lost = many - wire.two->arrivals.size();
  CHECK(lost > many / 10 * 93 / 100);
  CHECK(lost < many / 10 * 107 / 100);
  CHECK(wire.all.counters(wire.cable, 0).lost == lost);
}

TEST_CASE("bursty loss comes in runs of the length it was told") {
  // In the bad state one frame in five ends it: runs of 5 on average, 4.8 % of all frames.
  pair_of_probes wire({.burst_begin_millionths = 10'000, .burst_end_millionths = 200'000});
  wire.send(many * 5, 60, 1us);
  wire.all.run_for(1s);
  auto const numbers = wire.arrived();
  std::size_t runs = 0;
  for (std::size_t i = 1; i < numbers.size(); ++i) runs += numbers[i] != numbers[i - 1] + 1 ? 1 : 0;
  auto const lost = many * 5 - numbers.size();
  CHECK(lost > 4'200);
  CHECK(lost < 5'300);
  CHECK(lost * 10 / runs > 43);
  CHECK(lost * 10 / runs < 57);
}

TEST_CASE("duplicates arrive right behind their originals") {
  pair_of_probes wire({.duplicate_millionths = 50'000});
  wire.send(many, 60, 1us);
  wire.all.run_for(1s);
  auto const numbers = wire.arrived();
  CHECK(numbers.size() > many + many / 20 * 9 / 10);
  CHECK(numbers.size() < many + many / 20 * 11 / 10);
  CHECK(std::ranges::is_sorted(numbers));
}

TEST_CASE("reordered frames are late by no more than they may be, and none is lost") {
  pair_of_probes wire({.delay = 1ms, .reorder_millionths = 20'000, .reorder_delay = 50us});
  wire.send(many, 60, 1us);
  wire.all.run_for(1s);
  auto numbers = wire.arrived();
  REQUIRE(numbers.size() == many);
  CHECK_FALSE(std::ranges::is_sorted(numbers));
  for (std::size_t i = 0; i < many; ++i) {
    auto const late = wire.two->arrivals[i].at - start - static_cast<std::int64_t>(numbers[i]) * 1us - 1ms;
    REQUIRE(late >= 0us);
    REQUIRE(late <= 50us);
  }
  std::ranges::sort(numbers);
  CHECK(std::ranges::adjacent_find(numbers) == numbers.end());
}

TEST_CASE("corruption changes a run of at most fifteen bits") {
  pair_of_probes wire({.corrupt_millionths = 1'000'000});
  for (int i = 0; i < 1'000; ++i) wire.one->send(bytes(200));
  wire.all.run_for(1s);
  REQUIRE(wire.two->arrivals.size() == 1'000);
  std::size_t single = 0;
  for (auto const& each : wire.two->arrivals) {
    std::vector<std::size_t> flipped;
    for (std::size_t bit = 0; bit < 1'600; ++bit) {
      if ((static_cast<unsigned>(each.what[bit / 8]) >> (7 - bit % 8) & 1) != 0) flipped.push_back(bit);
    }
    REQUIRE_FALSE(flipped.empty());
    REQUIRE(flipped.back() - flipped.front() < 15);
    single += flipped.size() == 1 ? 1 : 0;
  }
  CHECK(single > 400);
  CHECK(single < 600);
}

TEST_CASE("frames above the MTU vanish, others do not") {
  pair_of_probes wire({.mtu_bytes = 1000});
  wire.one->send(bytes(1014));
  wire.one->send(bytes(1015));
  wire.all.run_for(1s);
  REQUIRE(wire.two->arrivals.size() == 1);
  CHECK(wire.two->arrivals[0].what.size() == 1014);
  wire.all.change(wire.cable, [](auto& s) { s.mtu_bytes = 0; });
  wire.one->send(bytes(1015));
  wire.all.touch(0);
  wire.all.run_for(1s);
  CHECK(wire.two->arrivals.size() == 2);
}

TEST_CASE("a partition stops one direction or both, and what is under way arrives") {
  pair_of_probes wire({.delay = 10ms}, 1, {.delay = 10ms});
  wire.one->send(bytes(60));
  wire.all.run_for(5ms);
  auto there = wire.all.settings(wire.cable, 0);
  there.is_cut = true;
  wire.all.set(wire.cable, 0, there);
  wire.one->send(bytes(60));
  wire.two->send(bytes(60));
  wire.all.touch(0);
  wire.all.touch(1);
  wire.all.run_for(1s);
  CHECK(wire.two->arrivals.size() == 1);
  CHECK(wire.one->arrivals.size() == 1);
  wire.all.change(wire.cable, [](auto& s) { s.is_cut = true; });
  wire.two->send(bytes(60));
  wire.all.touch(1);
  wire.all.run_for(1s);
  CHECK(wire.one->arrivals.size() == 1);
}

TEST_CASE("a flapping link is up and down in turn") {
  pair_of_probes wire({.up_for = 30ms, .down_for = 10ms});
  wire.send(400, 60, 1ms);
  wire.all.run_for(1s);
  auto const numbers = wire.arrived();
  CHECK(numbers.size() == 300);
  for (auto const number : numbers) CHECK(number % 40 < 30);
}

TEST_CASE("what a link holds arrives in order when it lets go") {
  pair_of_probes wire({.delay = 1ms, .is_held = true});
  wire.send(5, 60, 1ms);
  wire.all.run_for(100ms);
  CHECK(wire.two->arrivals.empty());
  wire.all.change(wire.cable, [](auto& s) { s.is_held = false; });
  wire.all.run_for(0ms);
  CHECK(wire.arrived() == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(wire.two->arrivals[0].at == start + 100ms);
}

TEST_CASE("a queue with CoDel keeps the delay near its target where a tail-dropping one does not") {
  auto const worst = [](queue_kind kind) {
    pair_of_probes wire({.bits_per_s = 8'000'000, .queue = kind, .queue_bytes = 200'000});
    wire.send(6'000, 1000, 950us);  // 8 % too much
    wire.all.run_for(20s);
    duration most{};
    auto const numbers = wire.arrived();
    for (std::size_t i = numbers.size() / 2; i < numbers.size(); ++i) {
      most = std::max(most, wire.two->arrivals[i].at - start - static_cast<std::int64_t>(numbers[i]) * 950us);
    }
    return most;
  };
  CHECK(worst(queue_kind::drop_tail) > 150ms);
  CHECK(worst(queue_kind::codel) < 80ms);
}

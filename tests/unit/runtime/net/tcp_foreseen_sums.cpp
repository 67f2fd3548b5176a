#include <catch2/catch.hpp>

#include <random>
#include <vector>

#include "morgana/net/wire/checksum.hpp"
#include "runtime/net/tcp/foreseen_sums.hpp"

using namespace morgana::net;
using tcp::foreseen_sums;
using wire::sequence;

namespace {

constexpr std::uint32_t first = 0xffff'f000;   // sequence numbers come around

/// A stream that is written through sums and sent from its front.
struct stream {
  foreseen_sums sums;
  std::vector<std::byte> bytes;
  std::uint32_t sent = 0;
  std::mt19937 generator;

  explicit stream(unsigned seed) : generator(seed) {}
  [[nodiscard]] std::uint32_t draw(std::uint32_t below) { return static_cast<std::uint32_t>(generator()) % below; }
  [[nodiscard]] sequence unsent() const { return sequence{first + sent}; }
  [[nodiscard]] std::uint32_t waiting() const { return static_cast<std::uint32_t>(bytes.size()) - sent; }

  /// In pieces of at most so many, as buffers have room. Whether sums are kept.
  bool write(std::size_t size, std::uint32_t segment_bytes, std::size_t piece = 4096) {
    std::vector<std::byte> from(size), to(size);
    for (auto& one : from) one = static_cast<std::byte>(generator());
    bool const keeps = sums.foresee(unsent(), sequence{first + static_cast<std::uint32_t>(bytes.size())}, segment_bytes);
    if (keeps) {
      for (std::size_t at = 0; at < size; at += piece) {
        sums.copy(to.data() + at, std::span(from).subspan(at, std::min(piece, size - at)));
      }
      REQUIRE(to == from);
    }
    bytes.insert(bytes.end(), from.begin(), from.end());
    return keeps;
  }
  /// Whether the sum was known; one that is known is right.
  bool send(std::uint32_t count) {
    if (count == 0) return false;
    auto const known = sums.take(unsent(), count);
    if (known) {
      auto const right = wire::fold_checksum(wire::sum_words(std::span(bytes).subspan(sent, count)));
      REQUIRE(*known == right);
    }
    sent += count;
    return known.has_value();
  }
};

}  // namespace

TEST_CASE("The sums of what is written at once are known when its segments leave, the last one too") {
  if (!wire::sums_while_copying()) return;
  for (std::uint32_t const segment_bytes : {1448u, 1447u, 536u, 1u}) {
    for (std::size_t const piece : {4096u, 1000u, 333u}) {
      stream one(segment_bytes);
      auto const size = std::min<std::size_t>(16'384, 46 * segment_bytes);
      for (int round = 0; round < 3; ++round) {
        REQUIRE(one.write(size, segment_bytes, piece));
        while (one.waiting() != 0) REQUIRE(one.send(std::min(segment_bytes, one.waiting())));
      }
    }
  }
}

TEST_CASE("What is written behind a segment that is not whole yet continues its sum") {
  if (!wire::sums_while_copying()) return;
  stream one(7);
  REQUIRE(one.write(2001, 1448));
  CHECK(one.send(1448));
  REQUIRE(one.write(2001, 1448));
  CHECK(one.send(1448));
  CHECK(one.send(4002 - 2 * 1448));
}

TEST_CASE("What waits without sums is sent without, and what was written behind it with them") {
  if (!wire::sums_while_copying()) return;
  stream one(8);
  one.bytes.resize(1000);
  REQUIRE(one.write(8000, 1448));
  CHECK(!one.send(1448));
  CHECK(one.send(1448));
  // More than there is place for.
  stream other(9);
  REQUIRE(other.write(50 * 536, 536));
  CHECK(!other.write(536, 536));
  for (int i = 0; i < 46; ++i) REQUIRE(other.send(536));
  CHECK(!other.send(536));
}

TEST_CASE("A segment that was not foreseen has no sum, and neither have those that were") {
  if (!wire::sums_while_copying()) return;
  stream smaller(10);
  REQUIRE(smaller.write(8000, 1448));
  CHECK(smaller.send(1448));
  CHECK(!smaller.send(1000));
  CHECK(!smaller.send(1448));
  CHECK(smaller.write(8000, 1448));   // and those that are written next are
  stream again(11);
  REQUIRE(again.write(8000, 1448));
  CHECK(again.send(1448));
  again.sent = 0;
  CHECK(!again.send(1448));           // a retransmission does not disturb
  CHECK(again.send(1448));
}

TEST_CASE("A sum that is known is right, whatever is written and sent") {
  if (!wire::sums_while_copying()) return;
  std::size_t known = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    stream one(seed);
    auto segment_bytes = 1 + seed * 7 % 1500;
    for (int step = 0; step < 60; ++step) {
      switch (one.draw(8)) {
        case 0: segment_bytes = 1 + one.draw(2000); break;
        case 1: one.bytes.resize(one.bytes.size() + one.draw(500)); break;
        case 2: case 3: (void)one.write(one.draw(60'000), segment_bytes, 1 + one.draw(5000)); break;
        case 4: known += one.send(std::min(one.waiting(), one.draw(2000))); break;
        default: known += one.send(std::min(one.waiting(), segment_bytes)); break;
      }
    }
  }
  CHECK(known > 300);
}

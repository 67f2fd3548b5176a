// mirage-tcpip's groups of reassembly, as generated cases: every order of every set of pieces, and every order of
// sets with holes and overlaps.
#include "runtime/net/ip/reassembly.hpp"

#include <algorithm>

#include "test_link.hpp"

using namespace morgana;
using namespace morgana::net;
using namespace morgana::net::testing;
using host::fragment_key;
using host::reassembly;

namespace {

struct piece {
  std::uint32_t offset;
  std::size_t size;
  bool more;
};

struct bench {
  network_limits limits;
  buffer_pool pool{2048, 8u << 20};
  reassembly parts{limits, pool};
  instant now{};
  fragment_key key{ip("10.0.0.1"), ip("10.0.0.2"), 7, 17};

  explicit bench(network_limits const& chosen = {}) : limits(chosen) {}

  reassembly::outcome add(piece const& one, bytes* whole = nullptr, fragment_key const* other = nullptr) {
    bytes payload(one.size);
    for (std::size_t i = 0; i < one.size; ++i) payload[i] = static_cast<std::byte>((one.offset + i) * 11 >> 1);
    auto const& flow = other == nullptr ? key : *other;
    auto const packet = ipv4_packet(flow.source, flow.destination, wire::protocol::udp, payload,
                                    {.offset = static_cast<std::uint16_t>(one.offset), .more = one.more});
    segment carried;
    auto memory = pool.take_slice(packet.size());
    REQUIRE(memory.size() == packet.size());
    std::ranges::copy(packet, memory.writable().begin());
    REQUIRE(carried.append(std::move(memory)));
    auto const outcome = parts.add(flow, one.offset, one.more, 20, carried, now);
    if (outcome == reassembly::outcome::complete && whole != nullptr) {
      whole->resize(carried.size());
      REQUIRE(carried.copy_out(0, *whole));
    }
    return outcome;
  }
};

void check_whole(bytes const& whole, std::size_t size) {
  REQUIRE(whole.size() == 20 + size);
  for (std::size_t i = 0; i < size; ++i) REQUIRE(whole[20 + i] == static_cast<std::byte>(i * 11 >> 1));
}

/// Cuts `count` pieces of different sizes.
std::vector<piece> cut(std::size_t count) {
  std::vector<piece> made;
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    auto const size = i + 1 == count ? 13u : 8u * static_cast<std::uint32_t>(1 + (i * 5) % 7);
    made.push_back({at, size, i + 1 < count});
    at += size;
  }
  return made;
}

/// Calls `check` with every order of the pieces; says how many there were.
template <class Check>
int every_order(std::vector<piece> pieces, Check check) {
  std::vector<std::size_t> order(pieces.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  int count = 0;
  do {
    std::vector<piece> now;
    for (auto const i : order) now.push_back(pieces[i]);
    check(now);
    ++count;
  } while (std::ranges::next_permutation(order).found);
  return count;
}

}  // namespace

TEST_CASE("every order of two to five fragments gives the datagram, once") {
  int cases = 0;
  for (std::size_t count = 2; count <= 5; ++count) {
    auto const pieces = cut(count);
    auto const size = pieces.back().offset + pieces.back().size;
    cases += every_order(pieces, [&](std::vector<piece> const& order) {
      bench under;
      bytes whole;
      for (std::size_t i = 0; i + 1 < order.size(); ++i) REQUIRE(under.add(order[i]) == reassembly::outcome::waiting);
      REQUIRE(under.add(order.back(), &whole) == reassembly::outcome::complete);
      check_whole(whole, size);
      REQUIRE(under.parts.datagrams() == 0);
      REQUIRE(under.parts.bytes() == 0);
    });
  }
  CHECK(cases == 2 + 6 + 24 + 120);
}

TEST_CASE("sets with holes or overlaps give nothing in any order") {
  std::vector<std::vector<piece>> const sets{
      // holes
      {{0, 16, true}, {24, 16, false}},
      {{8, 16, true}, {24, 16, false}},
      {{0, 16, true}, {24, 16, true}, {40, 8, false}},
      {{0, 16, true}, {16, 16, true}, {40, 8, false}},
      {{8, 8, true}, {16, 16, true}, {32, 8, false}},
      {{0, 16, true}, {16, 16, true}, {32, 8, true}},
      // overlaps
      {{0, 16, true}, {8, 16, true}, {24, 8, false}},
      {{0, 24, true}, {8, 8, true}, {32, 8, false}},
      {{0, 16, true}, {16, 16, true}, {24, 16, false}},
      {{0, 16, true}, {0, 24, true}, {32, 8, false}},
      {{8, 16, true}, {16, 16, true}, {16, 16, false}},
      {{0, 8, true}, {16, 16, false}, {32, 16, true}},
      {{0, 16, true}, {16, 8, true}, {40, 8, true}, {48, 8, false}},
      {{0, 16, true}, {8, 16, true}, {24, 8, true}, {32, 8, false}},
      {{0, 16, true}, {24, 8, true}, {32, 8, true}, {24, 24, false}},
      {{0, 32, true}, {8, 8, true}, {16, 8, true}, {40, 8, false}},
      {{8, 16, true}, {24, 8, true}, {32, 8, true}, {40, 8, false}},
  };
  int cases = 0;
  for (auto const& set : sets) {
    cases += every_order(set, [&](std::vector<piece> const& order) {
      bench under;
      for (auto const& one : order) {
        INFO("piece " << one.offset << " +" << one.size);
        REQUIRE(under.add(one) != reassembly::outcome::complete);
      }
    });
  }
  CHECK(cases == 2 * 2 + 10 * 6 + 5 * 24);
}

TEST_CASE("an overlap also drops what arrives of that datagram later") {
  bench under;
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  CHECK(under.add({8, 16, true}) == reassembly::outcome::dropped);
  CHECK(under.parts.bytes() == 0);
  CHECK(under.add({0, 16, true}) == reassembly::outcome::dropped);
  CHECK(under.add({16, 8, false}) == reassembly::outcome::dropped);
  CHECK(under.parts.counters().overlapped == 1);
  under.now += 30s;
  CHECK_FALSE(under.parts.poll_expired(under.now).has_value());
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  CHECK(under.add({16, 8, false}) == reassembly::outcome::complete);
}

TEST_CASE("an exact repetition of a fragment is ignored") {
  bench under;
  bytes whole;
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  CHECK(under.add({24, 8, false}) == reassembly::outcome::waiting);
  CHECK(under.add({24, 8, false}) == reassembly::outcome::waiting);
  CHECK(under.add({16, 8, true}, &whole) == reassembly::outcome::complete);
  check_whole(whole, 32);
}

TEST_CASE("fragments of different identifications, protocols and addresses do not mix") {
  bench under;
  auto const base = under.key;
  std::vector<fragment_key> others(4, base);
  others[0].identification = 8;
  others[1].protocol = 6;
  others[2].source = ip("10.0.0.3");
  others[3].destination = ip("10.0.0.4");
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  for (auto const& other : others) CHECK(under.add({16, 8, false}, nullptr, &other) == reassembly::outcome::waiting);
  CHECK(under.parts.datagrams() == 5);
  CHECK(under.add({16, 8, false}) == reassembly::outcome::complete);
}

TEST_CASE("a datagram that stays incomplete is given up, and quoted when its first fragment came") {
  bench under;
  CHECK(under.add({0, 16, true}) == reassembly::outcome::waiting);
  CHECK(under.parts.next_deadline() == under.now + 30s);
  CHECK_FALSE(under.parts.poll_expired(under.now + 29s).has_value());
  auto const expired = under.parts.poll_expired(under.now + 30s);
  REQUIRE(expired.has_value());
  CHECK(expired->key == under.key);
  CHECK(expired->start_bytes == 36);
  CHECK(under.parts.next_deadline() == never);
  CHECK(under.parts.bytes() == 0);
  CHECK(under.add({16, 16, true}) == reassembly::outcome::waiting);
  CHECK_FALSE(under.parts.poll_expired(under.now + 60s).has_value());
  CHECK(under.parts.counters().timed_out == 2);
}

TEST_CASE("a datagram of more fragments than the limit is dropped whole") {
  network_limits limits;
  limits.reassembly_fragments = 16;
  bench under(limits);
  for (std::uint32_t i = 0; i < 16; ++i) REQUIRE(under.add({i * 16, 8, true}) == reassembly::outcome::waiting);
  CHECK(under.add({16 * 16, 8, true}) == reassembly::outcome::dropped);
  CHECK(under.parts.counters().too_many_fragments == 1);
  CHECK(under.parts.bytes() == 0);
}

TEST_CASE("at the limit of datagrams the oldest goes") {
  network_limits limits;
  limits.reassembly_datagrams = 4;
  bench under(limits);
  for (std::uint32_t i = 0; i < 5; ++i) {
    auto key = under.key;
    key.identification = i;
    REQUIRE(under.add({0, 16, true}, nullptr, &key) == reassembly::outcome::waiting);
  }
  CHECK(under.parts.datagrams() == 4);
  CHECK(under.parts.counters().evicted == 1);
  auto oldest = under.key;
  oldest.identification = 0;
  CHECK(under.add({16, 8, false}, nullptr, &oldest) == reassembly::outcome::waiting);
}

TEST_CASE("at the limit of bytes the oldest goes, and memory stays within it") {
  network_limits limits;
  limits.reassembly_bytes = 16 * 1024;
  bench under(limits);
  for (std::uint32_t i = 0; i < 50; ++i) {
    auto key = under.key;
    key.identification = i;
    (void)under.add({0, 1480, true}, nullptr, &key);
    REQUIRE(under.parts.bytes() <= limits.reassembly_bytes);
  }
  CHECK(under.parts.counters().evicted > 30);
  auto last = under.key;
  last.identification = 49;
  CHECK(under.add({1480, 8, false}, nullptr, &last) == reassembly::outcome::complete);
}

TEST_CASE("a datagram longer than an IP packet can be is dropped") {
  bench under;
  CHECK(under.add({65'528, 8, false}) == reassembly::outcome::dropped);
  CHECK(under.parts.counters().too_long == 1);
}

// ---- the explicit lists of mirage-tcpip's group `ipv4`, offsets in bytes -------------------------------

TEST_CASE("the listed sets of fragments give their datagrams, and only with the last piece") {
  std::vector<std::vector<piece>> const sets{
      {{0, 16, true}, {16, 16, false}},
      {{0, 16, true}, {16, 24, false}},
      {{16, 16, false}, {0, 16, true}},
      {{16, 24, false}, {0, 16, true}},
      {{0, 984, true}, {984, 16, false}},
      {{0, 984, true}, {984, 16, true}, {1000, 16, false}},
      {{0, 1000, true}, {1000, 48, false}},
  };
  for (auto const& set : sets) {
    bench under;
    std::size_t size = 0;
    bytes whole;
    for (std::size_t i = 0; i < set.size(); ++i) {
      size += set[i].size;
      bool const is_last = i + 1 == set.size();
      REQUIRE(under.add(set[i], &whole) == (is_last ? reassembly::outcome::complete : reassembly::outcome::waiting));
    }
    check_whole(whole, size);
  }
  int orders = 0;
  for (std::uint32_t count = 3; count <= 5; ++count) {
    std::vector<piece> pieces;
    for (std::uint32_t i = 0; i < count; ++i) pieces.push_back({i * 16, i + 1 == count ? 10u : 16u, i + 1 < count});
    orders += every_order(pieces, [&](std::vector<piece> const& order) {
      bench under;
      bytes whole;
      for (std::size_t i = 0; i + 1 < order.size(); ++i) REQUIRE(under.add(order[i]) == reassembly::outcome::waiting);
      REQUIRE(under.add(order.back(), &whole) == reassembly::outcome::complete);
      check_whole(whole, count * 16 - 6);
    });
  }
  CHECK(static_cast<int>(sets.size()) + orders == 157);
}

TEST_CASE("the listed sets of fragments that give nothing give nothing, in any order") {
  auto const nothing = [](std::vector<piece> const& order, network_limits const& limits = {}) {
    bench under(limits);
    for (auto const& one : order) REQUIRE(under.add(one) != reassembly::outcome::complete);
  };
  // The later one first, then one that runs into it.
  nothing({{8, 16, false}, {0, 16, true}});
  nothing({{0, 16, true}, {8, 16, false}});
  nothing({{0, 16, true}, {24, 16, false}});
  // These are whole, but more than such a small memory holds.
  network_limits small;
  small.reassembly_bytes = 1'200;
  nothing({{0, 992, true}, {992, 16, true}, {1008, 16, false}}, small);
  nothing({{0, 1024, true}, {1024, 16, false}}, small);
  std::vector<std::vector<piece>> const sets{
      {{0, 16, true}, {16, 16, true}, {24, 16, false}},
      {{0, 16, true}, {16, 16, true}, {40, 16, false}},
      {{0, 16, true}, {24, 16, true}, {32, 16, false}},
      {{0, 16, true}, {24, 16, true}, {40, 16, false}},
      {{0, 16, true}, {8, 16, true}, {24, 16, false}},
      {{0, 16, true}, {8, 16, true}, {32, 16, false}},
      {{0, 32, true}, {24, 16, true}},
      {{0, 32, true}, {16, 16, true}},
      {{0, 16, true}, {16, 16, true}, {32, 16, true}, {48, 16, true}},
      {{0, 16, true}, {16, 16, true}, {32, 16, true}, {40, 16, false}},
      {{0, 16, true}, {32, 16, true}, {32, 16, true}, {48, 16, false}},
      {{0, 16, true}, {8, 16, true}, {24, 16, true}, {40, 16, false}},
      {{0, 16, true}, {16, 16, true}, {32, 16, true}, {56, 16, false}},
  };
  int orders = 0;
  for (auto const& set : sets) orders += every_order(set, [&](std::vector<piece> const& order) { nothing(order); });
  CHECK(4 + orders == 164);
}

TEST_CASE("fragments meet until just before their time is over") {
  bench under;
  REQUIRE(under.add({0, 16, true}) == reassembly::outcome::waiting);
  under.now += under.limits.reassembly_timeout - 1ns;
  CHECK_FALSE(under.parts.poll_expired(under.now).has_value());
  CHECK(under.add({16, 16, false}) == reassembly::outcome::complete);
  REQUIRE(under.add({0, 16, true}) == reassembly::outcome::waiting);
  under.now += under.limits.reassembly_timeout;
  while (under.parts.poll_expired(under.now)) {
  }
  CHECK(under.parts.datagrams() == 0);
  CHECK(under.add({16, 16, false}) == reassembly::outcome::waiting);
}

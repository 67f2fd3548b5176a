#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include "morgana/net/wire/bytes.hpp"
#include "morgana/net/wire/checksum.hpp"
#include "runtime/net/wire/long_sums.hpp"

using namespace morgana::net;
using namespace morgana::net::wire;

namespace {

/// The definition of RFC 1071, section 1, word by word.
std::uint16_t naive(std::vector<std::byte> bytes) {
  if (bytes.size() % 2 != 0) bytes.push_back(std::byte{0});
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) sum += load16(bytes, i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::vector<std::byte> random_bytes(std::mt19937& generator, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (auto& one : bytes) one = static_cast<std::byte>(generator());
  return bytes;
}

}  // namespace

TEST_CASE("The checksum of RFC 1071's example is the one it prints") {
  std::array<std::uint8_t, 8> const bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  checksum sum;
  sum.add(std::as_bytes(std::span(bytes)));
  CHECK(sum.partial() == 0xddf2);
}

TEST_CASE("The fast checksum equals the definition for every length and any cut into pieces") {
  std::mt19937 generator(1);
  for (std::size_t size = 0; size < 300; ++size) {
    auto const bytes = random_bytes(generator, size);
    checksum whole;
    whole.add(bytes);
    REQUIRE(whole.finish() == naive(bytes));
    checksum pieces;
    for (std::size_t at = 0; at < size;) {
      auto const piece = std::min<std::size_t>(generator() % 40, size - at);
      pieces.add(std::span(bytes).subspan(at, piece));
      at += piece;
    }
    REQUIRE(pieces.finish() == naive(bytes));
  }
}

TEST_CASE("Carries at the end of a checksum come around") {
  for (std::size_t const size : {32u, 40u, 4096u, 65'536u, 300'000u}) {
    std::vector<std::byte> const ones(size, std::byte{0xff});
    checksum sum;
    sum.add(ones);
    CHECK(sum.finish() == naive(ones));
  }
}

TEST_CASE("The checksum of long pieces equals the definition, wherever they lie") {
  std::mt19937 generator(3);
  auto const all = random_bytes(generator, 200'000);
  for (int i = 0; i < 60; ++i) {
    auto const from = generator() % 100;
    auto const size = generator() % (all.size() - from);
    std::vector<std::byte> const part(all.begin() + static_cast<std::ptrdiff_t>(from),
                                      all.begin() + static_cast<std::ptrdiff_t>(from + size));
    checksum sum;
    sum.add(std::span(all).subspan(from, size));
    REQUIRE(sum.finish() == naive(part));
  }
}

TEST_CASE("Both ways to sum a long range are the definition, for every address and length") {
  std::mt19937 generator(4);
  auto const random = random_bytes(generator, 1024);
  std::vector<std::byte> const ones(1024, std::byte{0xff});
  std::vector<std::byte> const zeros(1024, std::byte{0});
  for (auto const* all : {&random, &ones, &zeros}) {
    for (std::size_t from = 0; from < 70; ++from) {
      for (std::size_t size = 64; size < 400; size += 8) {
        std::vector<std::byte> const part(all->begin() + static_cast<std::ptrdiff_t>(from),
                                          all->begin() + static_cast<std::ptrdiff_t>(from + size));
        auto const finished = [](std::uint64_t sum) {
          REQUIRE(sum >> 34 == 0);
          return network_order(static_cast<std::uint16_t>(~fold_checksum(sum)));
        };
        REQUIRE(finished(plain_long_sum(all->data() + from, size)) == naive(part));
#if MORGANA_HAS_WIDE_SUM
        if (has_wide_long_sum()) REQUIRE(finished(wide_long_sum(all->data() + from, size)) == naive(part));
#endif
      }
    }
  }
}

TEST_CASE("A copy with a sum copies and sums, and writes nothing beside, for every address and length") {
  std::mt19937 generator(5);
  auto const all = random_bytes(generator, 1024);
  std::byte const around{0x77};
  for (std::size_t from = 0; from < 34; from += 3) {
    for (std::size_t to = 0; to < 34; ++to) {
      for (std::size_t size = 0; size < 700; size += size < 250 ? 50 : 7) {
        auto const part = std::span(all).subspan(from, size);
        std::vector<std::byte> into(size + 100, around);
        REQUIRE(fold_checksum(copy_and_sum(into.data() + to, part)) == fold_checksum(sum_words(part)));
        auto const* const at = into.data() + to;
        REQUIRE(std::equal(part.begin(), part.end(), at));
        REQUIRE(std::count(into.begin(), into.end(), around) - std::count(part.begin(), part.end(), around) == 100);
      }
    }
  }
}

TEST_CASE("A checksum updated for a changed field equals one computed anew") {
  std::mt19937 generator(2);
  for (int i = 0; i < 1000; ++i) {
    auto bytes = random_bytes(generator, 20);
    auto const before = load16(bytes, 4);
    auto const stored = naive(bytes);
    auto const value = static_cast<std::uint16_t>(generator());
    store16(bytes, 4, value);
    auto const updated = update_checksum(stored, before, value);
    // 0x0000 and 0xffff are the same number in one's complement.
    CHECK((updated == naive(bytes) || (updated ^ naive(bytes)) == 0xffff));
  }
}

TEST_CASE("The pseudo-header counts addresses, protocol and length") {
  checksum four;
  four.add_pseudo_header(ipv4_address{{10, 0, 0, 1}}, ipv4_address{{10, 0, 0, 2}}, 6, 20);
  CHECK(four.partial() == 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6 + 20);
  checksum six;
  ipv6_address one{};
  one.bytes[15] = 1;
  six.add_pseudo_header(one, one, 17, 0x1'0008);
  CHECK(six.partial() == 1 + 1 + 17 + 1 + 8);
}

#include "memory_functions.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

namespace {

namespace functions = morgana::xen::memory_functions;
using bytes = std::array<unsigned char, 512>;

constexpr std::size_t longest = 420;
/// Every length where the ways part, of others some.
constexpr std::size_t next_after(std::size_t count) {
  return count + (count < 140 || (count > 250 && count < 262) ? 1 : 7);
}
constexpr std::size_t offsets = 40;

struct filled {
  bytes operator()() {
    bytes made{};
    for (auto& one : made) one = static_cast<unsigned char>(random());
    return made;
  }
  std::minstd_rand random{7};
};

}  // namespace

TEST_CASE("memory is copied as the C library copies it, whatever the length, the place and the overlap") {
  filled make;
  for (std::size_t count = 0; count < longest; count = next_after(count)) {
    for (std::size_t from = 0; from < offsets; from += 3) {
      for (std::size_t to = 0; to < offsets; ++to) {
        auto ours = make();
        auto theirs = ours;
        functions::move(ours.data() + to, ours.data() + from, count);
        std::memmove(theirs.data() + to, theirs.data() + from, count);
        auto const same = ours == theirs;
        auto apart = make(), reference = apart;
        functions::copy(apart.data() + to, ours.data() + from, count);
        std::memcpy(reference.data() + to, ours.data() + from, count);
        CAPTURE(count, from, to);
        REQUIRE((same && apart == reference));
      }
    }
  }
}

TEST_CASE("memory is set, compared and searched as the C library does it") {
  filled make;
  for (std::size_t count = 0; count < longest; count = next_after(count)) {
    for (std::size_t at = 0; at < offsets; ++at) {
      CAPTURE(count, at);
      auto ours = make();
      auto theirs = ours;
      functions::fill(ours.data() + at, 0x1a5, count);
      std::memset(theirs.data() + at, 0x1a5, count);
      REQUIRE((ours == theirs));
      auto const right = make();
      std::memcpy(ours.data() + at, right.data(), count);
      REQUIRE(functions::compare(ours.data() + at, right.data(), count) == 0);
      if (count == 0) continue;
      ours[at + make.random() % count] ^= static_cast<unsigned char>(1 + make.random() % 255);
      auto const sign = [](int one) { return (one > 0) - (one < 0); };
      REQUIRE(sign(functions::compare(ours.data() + at, right.data(), count)) ==
              sign(std::memcmp(ours.data() + at, right.data(), count)));
      auto const wanted = right[make.random() % (count + 16)];
      REQUIRE(functions::find(right.data(), wanted, count) == std::memchr(right.data(), wanted, count));
    }
  }
}

#include "morgana/entropy/key_pool.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>

using morgana::core_error;
using morgana::entropy::key_pool;

namespace {

std::array<std::byte, 32> counting() {
  std::array<std::byte, 32> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i);
  return out;
}

std::string hexadecimal(std::span<std::byte const> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (auto const byte : bytes) {
    out += digits[std::to_integer<unsigned>(byte) >> 4];
    out += digits[std::to_integer<unsigned>(byte) & 15];
  }
  return out;
}

}  // namespace

TEST_CASE("what comes out is what another implementation of both primitives says") {
  // Python's hashlib.blake2b and a ChaCha20 written from its description, with the same steps.
  key_pool pool;
  pool.mix(3, counting(), 256'000);
  std::array<std::byte, 16> first{};
  REQUIRE(pool.fill(first));
  CHECK(hexadecimal(first) == "800d1301eaa05e63f9f609874bed484d");
  std::array<std::byte, 300> second{};
  REQUIRE(pool.fill(second));
  CHECK(hexadecimal(std::span(second).last(16)) == "1eff7ba2cf335159a06a72d62dba81de");
}

TEST_CASE("nothing comes out before 256 bits are together, from however many samples") {
  key_pool pool;
  std::array<std::byte, 8> out{};
  for (int i = 0; i < 31; ++i) pool.mix(0, std::array{std::byte{1}}, 8000);
  CHECK(pool.missing_millibits() == 8000);
  auto const refused = pool.fill(out);
  REQUIRE(!refused);
  CHECK(refused.error().is(core_error::not_seeded));
  CHECK(std::ranges::all_of(out, [](auto byte) { return byte == std::byte{}; }));
  pool.mix(0, std::array{std::byte{1}}, 8000);
  CHECK(pool.fill(out));
}

TEST_CASE("credit is at most what the bytes can hold") {
  key_pool pool;
  pool.mix(0, std::array{std::byte{1}}, 1'000'000);
  CHECK(!pool.is_seeded());
  CHECK(pool.missing_millibits() == 248'000);
  pool.mix(1, {}, 1'000'000);
  CHECK(pool.missing_millibits() == 248'000);
}

TEST_CASE("samples that are not enough change nothing until they are") {
  key_pool one, other;
  for (auto* pool : {&one, &other}) pool->mix(0, counting(), 256'000);
  other.mix(1, counting(), 255'000);
  std::array<std::byte, 16> of_one{}, of_other{};
  REQUIRE(one.fill(of_one));
  REQUIRE(other.fill(of_other));
  CHECK(of_one == of_other);
  other.mix(1, std::array{std::byte{9}}, 1000);
  REQUIRE(one.fill(of_one));
  REQUIRE(other.fill(of_other));
  CHECK(of_one != of_other);
  CHECK(other.seedings() == 2);
}

TEST_CASE("the same bytes from another source, or cut otherwise, give another key") {
  auto const seeded = [](auto&& mix) {
    key_pool pool;
    mix(pool);
    std::array<std::byte, 16> out{};
    REQUIRE(pool.fill(out));
    return hexadecimal(out);
  };
  auto const bytes = counting();
  auto const whole = seeded([&](key_pool& pool) { pool.mix(0, bytes, 256'000); });
  CHECK(whole != seeded([&](key_pool& pool) { pool.mix(1, bytes, 256'000); }));
  CHECK(whole != seeded([&](key_pool& pool) {
          pool.mix(0, std::span(bytes).first(16), 128'000);
          pool.mix(0, std::span(bytes).last(16), 128'000);
        }));
}

TEST_CASE("a copy gives nothing before it was seeded anew, and then something else") {
  key_pool pool;
  pool.mix(0, counting(), 256'000);
  pool.mix(0, counting(), 200'000);
  pool.distrust();
  std::array<std::byte, 8> out{};
  CHECK(!pool.fill(out));
  // What the other copy has, too, does not count.
  pool.mix(0, counting(), 100'000);
  CHECK(!pool.is_seeded());
  pool.mix(0, counting(), 156'000);
  CHECK(pool.fill(out));
}

TEST_CASE("no 8 of 8,192 bytes come twice") {
  key_pool pool;
  pool.mix(0, counting(), 256'000);
  std::array<std::array<std::byte, 8>, 1024> words{};
  REQUIRE(pool.fill(std::as_writable_bytes(std::span(words))));
  std::ranges::sort(words);
  CHECK(std::ranges::adjacent_find(words) == words.end());
}

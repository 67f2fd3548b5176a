#include "common/byte_ring.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using morgana::xen::byte_ring;

/// A page as both sides see it.
template <std::size_t Size>
struct ring_page {
  std::array<std::byte, Size> bytes{};
  std::uint32_t taken = 0, put = 0;
  byte_ring writer() { return {bytes, put, taken}; }
  byte_ring reader() { return {bytes, taken, put}; }
};

std::span<std::byte const> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string take(byte_ring& from, std::size_t most = 4096) {
  std::string out(most, '\0');
  out.resize(from.read(std::as_writable_bytes(std::span(out))));
  return out;
}

}  // namespace

TEST_CASE("what is written comes out in order, also across the end of the ring", "[byte_ring]") {
  ring_page<16> page;
  auto writer = page.writer();
  auto reader = page.reader();
  std::mt19937 random(7);
  std::string sent, came;
  for (int i = 0; i < 2000; ++i) {
    std::string piece(random() % 24, static_cast<char>('a' + i % 26));
    sent += piece.substr(0, writer.write(bytes_of(piece)));
    came += take(reader, random() % 24);
  }
  came += take(reader);
  CHECK(came == sent);
  CHECK(came.size() > 10'000);
}

TEST_CASE("indices run over 32 bits", "[byte_ring]") {
  ring_page<16> page;
  page.taken = page.put = 0xffff'fffa;
  auto writer = page.writer();
  auto reader = page.reader();
  CHECK(writer.write(bytes_of("0123456789abcdef")) == 16);
  CHECK(page.put == 10);
  CHECK(take(reader) == "0123456789abcdef");
  CHECK_FALSE(reader.is_broken());
}

TEST_CASE("a full ring takes no more, an empty one gives nothing", "[byte_ring]") {
  ring_page<16> page;
  auto writer = page.writer();
  auto reader = page.reader();
  CHECK(take(reader).empty());
  CHECK(writer.write(bytes_of("0123456789abcdefgh")) == 16);
  CHECK(writer.write(bytes_of("x")) == 0);
  CHECK_FALSE(writer.is_broken());
}

TEST_CASE("a writer whose reader took more than there was is broken for good", "[byte_ring]") {
  ring_page<16> page;
  auto writer = page.writer();
  page.taken = 1;
  CHECK(writer.write(bytes_of("x")) == 0);
  CHECK(writer.is_broken());
  page.taken = 0;
  CHECK(writer.write(bytes_of("x")) == 0);
}

TEST_CASE("a reader whose writer put more than fits is broken for good", "[byte_ring]") {
  ring_page<16> page;
  auto reader = page.reader();
  page.put = 17;
  CHECK(take(reader).empty());
  CHECK(reader.is_broken());
  page.put = 4;
  CHECK(take(reader).empty());
}

TEST_CASE("our own index in the page is not believed", "[byte_ring]") {
  ring_page<16> page;
  auto writer = page.writer();
  auto reader = page.reader();
  REQUIRE(writer.write(bytes_of("ab")) == 2);
  page.taken = 0;
  REQUIRE(take(reader, 1) == "a");
  page.taken = 12345;
  CHECK(take(reader) == "b");
}

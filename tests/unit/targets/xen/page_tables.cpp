#include "page_tables.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <memory>
#include <optional>

namespace {

using namespace morgana::xen;

/// Memory for tables whose address is its physical one, as at boot.
struct table_memory {
  explicit table_memory(std::size_t pages)
      : bytes(pages * page_bytes), at(std::aligned_alloc(page_bytes, bytes), std::free) {}
  [[nodiscard]] std::uint64_t begin() const { return reinterpret_cast<std::uint64_t>(at.get()); }
  [[nodiscard]] page_tables tables() const { return {begin(), begin() + bytes}; }
  std::size_t bytes;
  std::unique_ptr<void, void (*)(void*)> at;
};

struct translation {
  std::uint64_t physical;
  bool writable, executable, large;
  friend bool operator==(translation const&, translation const&) = default;
};

/// As the processor does it (SDM volume 3, 4.5.4).
std::optional<translation> translate(page_tables const& tables, std::uint64_t address) {
  auto table = tables.root();
  for (unsigned shift = 39;; shift -= 9) {
    auto const entry = reinterpret_cast<std::uint64_t const*>(table)[address >> shift & 511];
    if ((entry & 1) == 0) return std::nullopt;
    auto const large = shift == 21 && (entry & 0x80) != 0;
    auto const place = entry & 0x000f'ffff'ffff'f000;
    if (shift == 12 || large) {
      auto const mask = (std::uint64_t{1} << shift) - 1;
      return translation{(place & ~mask) | (address & mask), (entry & 2) != 0, entry >> 63 == 0, large};
    }
    table = place;
  }
}

}  // namespace

TEST_CASE("a page is where it was mapped, with its rights, and its neighbours are not there",
          "[page_tables]") {
  table_memory const memory(16);
  auto tables = memory.tables();
  constexpr std::uint64_t address = 0x1234'5678'9000;
  REQUIRE(tables.map(address, 0x10'3000, page_bytes, page_rights::read_execute));
  CHECK(translate(tables, address + 5) == translation{0x10'3005, false, true, false});
  CHECK(translate(tables, address - 1) == std::nullopt);
  CHECK(translate(tables, address + page_bytes) == std::nullopt);
  CHECK(translate(tables, 0) == std::nullopt);
}

TEST_CASE("rights of mappings side by side are their own", "[page_tables]") {
  table_memory const memory(16);
  auto tables = memory.tables();
  constexpr std::uint64_t base = 0x7f00'0000'0000;
  REQUIRE(tables.map(base, 0x20'0000, page_bytes, page_rights::read));
  REQUIRE(tables.map(base + page_bytes, 0x20'1000, page_bytes, page_rights::read_write));
  REQUIRE(tables.map(base + 2 * page_bytes, 0xfee0'0000, page_bytes, page_rights::device));
  CHECK(translate(tables, base) == translation{0x20'0000, false, false, false});
  CHECK(translate(tables, base + page_bytes) == translation{0x20'1000, true, false, false});
  CHECK(translate(tables, base + 2 * page_bytes) == translation{0xfee0'0000, true, false, false});
}

TEST_CASE("a range takes large pages where both addresses allow it, and small ones at its ends",
          "[page_tables]") {
  table_memory const memory(16);
  auto tables = memory.tables();
  constexpr std::uint64_t offset = 0x4000'0000'0000, begin = 0x1f'f000, end = 0x60'2000;
  REQUIRE(tables.map(begin + offset, begin, end - begin, page_rights::read_write));
  for (auto at = begin; at < end; at += page_bytes) {
    auto const is_large = at >= large_page_bytes && at < 3 * large_page_bytes;
    CHECK(translate(tables, at + offset) == translation{at, true, false, is_large});
  }
  CHECK(translate(tables, begin + offset - 1) == std::nullopt);
  CHECK(translate(tables, end + offset) == std::nullopt);
}

TEST_CASE("addresses that differ by less than a large page take small ones across the border",
          "[page_tables]") {
  table_memory const memory(16);
  auto tables = memory.tables();
  constexpr std::uint64_t address = 0x10'0000'0000 - page_bytes;
  REQUIRE(tables.map(address, 0x30'0000, 3 * page_bytes, page_rights::read));
  for (std::uint64_t i = 0; i < 3; ++i) {
    CHECK(translate(tables, address + i * page_bytes) ==
          translation{0x30'0000 + i * page_bytes, false, false, false});
  }
}

TEST_CASE("without memory for another table a mapping is refused", "[page_tables]") {
  table_memory const memory(3);
  auto tables = memory.tables();
  CHECK_FALSE(tables.map(0x1000, 0x1000, page_bytes, page_rights::read));
  CHECK(tables.memory_end() == memory.begin() + memory.bytes);
}

#include "morgana/core/segregated_heap.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

namespace {

struct usage {
  std::uint64_t used_bytes = 0, peak_bytes = 0;
};

struct heap_of {
  explicit heap_of(std::size_t bytes) : memory(bytes / 16) {
    heap.start(&counts);
    heap.add(memory.data(), bytes);
  }
  struct alignas(16) row {
    std::byte bytes[16];
  };
  std::vector<row> memory;
  usage counts;
  morgana::segregated_heap<usage> heap;
};

}  // namespace

TEST_CASE("what is taken is aligned, apart from all else, and counted", "[segregated_heap]") {
  heap_of on(1 << 20);
  std::mt19937 random(1);
  struct taken {
    unsigned char* at;
    std::size_t size;
    unsigned char mark;
  };
  std::vector<taken> kept;
  for (int i = 0; i < 20'000; ++i) {
    if (kept.empty() || random() % 3 != 0) {
      auto const size = std::size_t{1} << random() % 12 | random() % 64;
      auto const align = std::size_t{16} << (random() % 8 == 0 ? random() % 6 : 0);
      auto* const at = static_cast<unsigned char*>(on.heap.take_aligned(align, size));
      if (at == nullptr) {
        on.heap.give(kept.back().at);
        kept.pop_back();
        continue;
      }
      REQUIRE(reinterpret_cast<std::uintptr_t>(at) % align == 0);
      auto const mark = static_cast<unsigned char>(random());
      std::memset(at, mark, size);
      kept.push_back({at, size, mark});
      continue;
    }
    auto const which = random() % kept.size();
    auto const one = kept[which];
    REQUIRE(one.at[0] == one.mark);
    REQUIRE(one.at[one.size - 1] == one.mark);
    on.heap.give(one.at);
    kept[which] = kept.back();
    kept.pop_back();
  }
  CHECK(on.counts.used_bytes > 0);
  for (auto const& one : kept) on.heap.give(one.at);
  CHECK(on.counts.used_bytes == 0);
  CHECK(on.counts.peak_bytes <= on.heap.limit());
  // Neighbours were joined: all of it is one block again.
  CHECK(on.heap.take((1 << 20) - 64 * 1024) != nullptr);
}

TEST_CASE("memory of several places is one heap, but no block spans two", "[segregated_heap]") {
  heap_of on(64 * 1024);
  std::vector<heap_of::row> more(64 * 1024 / 16);
  on.heap.add(more.data(), 64 * 1024);
  CHECK(on.heap.limit() == 128 * 1024);
  CHECK(on.heap.take(100 * 1024) == nullptr);
  CHECK(on.heap.take(48 * 1024) != nullptr);
  CHECK(on.heap.take(48 * 1024) != nullptr);
  CHECK(on.heap.take(48 * 1024) == nullptr);
}

TEST_CASE("a block grows in place while there is room above it", "[segregated_heap]") {
  heap_of on(64 * 1024);
  auto* const low = on.heap.take(64);
  CHECK(on.heap.resize(low, 1024));
  CHECK(on.heap.size_of(low) >= 1024);
  auto* const high = on.heap.take(64);
  CHECK_FALSE(on.heap.resize(low, 4096));
  on.heap.give(high);
  CHECK(on.heap.resize(low, 4096));
}

TEST_CASE("what is said to be untouched was never written", "[segregated_heap]") {
  heap_of on(4 << 20);
  // Only what the heap writes itself, and what is handed out, is anything else from here on.
  constexpr std::byte untouched{0xa5}, ours{0x5a};
  std::byte* const first = on.memory.data()->bytes;
  std::memset(first + 2 * 16, 0xa5, (4 << 20) - 4 * 16);
  std::mt19937 random(7);
  std::vector<void*> kept;
  std::size_t spared = 0, asked = 0;
  for (int i = 0; i < 4'000; ++i) {
    switch (random() % 4) {
      case 0: {
        auto const pages = 1 + random() % 8;
        std::size_t touched = 0;
        auto* const at = static_cast<std::byte*>(on.heap.take_aligned(4096, pages * 4096, &touched));
        if (at == nullptr) break;
        REQUIRE(touched <= pages * 4096);
        for (auto byte = touched; byte < pages * 4096; ++byte) REQUIRE(at[byte] == untouched);
        std::memset(at, std::to_integer<int>(ours), pages * 4096);
        asked += pages * 4096;
        spared += pages * 4096 - touched;
        kept.push_back(at);
        break;
      }
      case 1: {
        auto const size = 1 + random() % 3000;
        if (auto* const at = on.heap.take(size); at != nullptr) {
          std::memset(at, std::to_integer<int>(ours), size);
          kept.push_back(at);
        }
        break;
      }
      case 2:
        if (auto const size = 1 + random() % 9000; !kept.empty() && on.heap.resize(kept.back(), size)) {
          std::memset(kept.back(), std::to_integer<int>(ours), size);
        }
        break;
      default:
        if (kept.empty()) break;
        std::swap(kept[random() % kept.size()], kept.back());
        on.heap.give(kept.back());
        kept.pop_back();
    }
  }
  // All of it was written at the end, so what was spared is a part; of pages taken first, the most.
  CHECK(spared > asked / 20);
}

TEST_CASE("what was given back is handed out again to who asks for as much, and is whole for who asks for more",
          "[segregated_heap]") {
  heap_of on(1 << 16);
  void* const first = on.heap.take(16'000);
  void* const second = on.heap.take(16'000);
  auto const in_use = on.counts.used_bytes;
  on.heap.give(first);
  on.heap.give(second);
  CHECK(on.counts.used_bytes == 0);
  CHECK(on.heap.take(16'000) == first);
  CHECK(on.heap.take(16'000) == second);
  CHECK(on.counts.used_bytes == in_use);
  on.heap.give(first);
  on.heap.give(second);
  // Nothing but both and the rest together is as large.
  void* const whole = on.heap.take(on.heap.limit() - 4096);
  CHECK(whole == first);
  on.heap.give(whole);
}

TEST_CASE("pages of a fresh heap need hardly be cleared", "[segregated_heap]") {
  heap_of on(1 << 20);
  std::size_t touched = 0;
  REQUIRE(on.heap.take_aligned(4096, 8 * 4096, &touched) != nullptr);
  CHECK(touched <= 64);
  void* const between = on.heap.take(100);
  REQUIRE(on.heap.take_aligned(4096, 8 * 4096, &touched) != nullptr);
  CHECK(touched <= 64);
  on.heap.give(between);
  // What was in use before is not untouched any more.
  auto* const used = on.heap.take_aligned(4096, 16 * 4096, &touched);
  on.heap.give(used);
  REQUIRE(on.heap.take_aligned(4096, 16 * 4096, &touched) == used);
  CHECK(touched == 16 * 4096);
}

#include "common/front_ring.hpp"

#include <catch2/catch.hpp>
#include <memory>

namespace {

using namespace morgana::xen;

struct request {
  std::uint64_t number;
  std::uint32_t more;
};
struct response {
  std::uint32_t number;
};

/// A ring and the other end of it.
struct ring_of_one_page {
  std::unique_ptr<std::byte[]> page = std::make_unique<std::byte[]>(grant_page_bytes);
  front_ring<request, response> ring{std::span(page.get(), grant_page_bytes)};
  ring_head& head() { return *reinterpret_cast<ring_head*>(page.get()); }
  void answer(std::uint32_t number) {
    auto const slot = head().responses_put % ring.slots();
    response const what{number};
    std::memcpy(page.get() + sizeof(ring_head) + slot * sizeof(request), &what, sizeof what);
    ++head().responses_put;
  }
};

}  // namespace

TEST_CASE("a ring has as many slots as fit, a power of two", "[front_ring]") {
  struct tx_request {
    std::uint8_t bytes[12];
  };
  struct rx_request {
    std::uint8_t bytes[8];
  };
  struct disk_request {
    std::uint8_t bytes[112];
  };
  CHECK(front_ring<tx_request, response>::slots_of(1) == 256);
  CHECK(front_ring<rx_request, rx_request>::slots_of(1) == 256);
  CHECK(front_ring<disk_request, response>::slots_of(1) == 32);
  CHECK(front_ring<disk_request, response>::slots_of(4) == 128);
}

TEST_CASE("requests are shown at once and responses come back", "[front_ring]") {
  ring_of_one_page on;
  REQUIRE(on.ring.slots() == 128);
  CHECK((on.head().request_event == 1 && on.head().response_event == 1));
  CHECK(on.ring.put(request{1, 2}) == 0);
  CHECK(on.ring.put(request{3, 4}) == 1);
  CHECK(on.head().requests_put == 0);
  CHECK(on.ring.publish());
  CHECK(on.head().requests_put == 2);
  CHECK(on.ring.free() == 126);
  response got{};
  std::uint32_t slot = 9;
  CHECK_FALSE(on.ring.take(got, slot));
  on.answer(77);
  REQUIRE(on.ring.take(got, slot));
  CHECK((got.number == 77 && slot == 0));
  CHECK(on.ring.free() == 127);
}

TEST_CASE("a backend that is awake is not notified", "[front_ring]") {
  ring_of_one_page on;
  on.ring.put(request{});
  CHECK(on.ring.publish());
  on.ring.put(request{});
  CHECK_FALSE(on.ring.publish());
  on.head().request_event = 3;
  on.ring.put(request{});
  CHECK(on.ring.publish());
  CHECK_FALSE(on.ring.publish());
}

TEST_CASE("what came before we slept needs no notification", "[front_ring]") {
  ring_of_one_page on;
  on.ring.put(request{});
  on.ring.put(request{});
  static_cast<void>(on.ring.publish());
  CHECK_FALSE(on.ring.wake_at(1));
  CHECK(on.head().response_event == 1);
  on.answer(1);
  CHECK(on.ring.wake_at(1));
  CHECK_FALSE(on.ring.wake_at(2));
  CHECK(on.head().response_event == 2);
}

TEST_CASE("an index of the backend's that cannot be breaks the ring for good", "[front_ring]") {
  ring_of_one_page on;
  on.ring.put(request{});
  on.ring.put(request{});
  response got{};
  std::uint32_t slot = 0;
  SECTION("more responses than requests that were shown") {
    static_cast<void>(on.ring.publish());
    on.ring.put(request{});
    on.head().responses_put = 3;
  }
  SECTION("responses that are taken back") {
    static_cast<void>(on.ring.publish());
    on.head().responses_put = 2;
    REQUIRE(on.ring.take(got, slot));
    REQUIRE(on.ring.take(got, slot));
    on.head().responses_put = 1;
  }
  SECTION("an index far off") {
    static_cast<void>(on.ring.publish());
    on.head().responses_put = 0x8000'0000;
  }
  CHECK_FALSE(on.ring.take(got, slot));
  CHECK(on.ring.is_broken());
  on.head().responses_put = 2;
  CHECK_FALSE(on.ring.take(got, slot));
  CHECK_FALSE(on.ring.wake_at(1));
}

TEST_CASE("slots come round", "[front_ring]") {
  ring_of_one_page on;
  response got{};
  std::uint32_t slot = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    CHECK(on.ring.put(request{i, 0}) == i % 128);
    static_cast<void>(on.ring.publish());
    on.answer(i);
    REQUIRE(on.ring.take(got, slot));
    REQUIRE((got.number == i && slot == i % 128));
  }
}

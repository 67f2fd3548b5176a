#include <catch2/catch.hpp>

#include <set>
#include <vector>

#include "morgana/net/buffer_pool.hpp"

using namespace morgana::net;

TEST_CASE("A pool gives buffers up to its limit, then counts what it refused") {
  buffer_pool pool(100, 100 * 20);
  std::vector<slice> held;
  std::set<std::byte const*> places;
  for (int i = 0; i < 20; ++i) {
    auto one = pool.take_slice(100);
    REQUIRE(one.size() == 100);
    places.insert(one.bytes().data());
    held.push_back(std::move(one));
  }
  CHECK(places.size() == 20);
  CHECK(pool.take_slice(1).size() == 0);
  CHECK(pool.refused() == 1);
  held.pop_back();
  CHECK(pool.used_buffers() == 19);
  CHECK(pool.take_slice(100).size() == 100);
}

TEST_CASE("A buffer returns to its pool with its last slice, and is used again") {
  buffer_pool pool(64, 6400);
  auto whole = pool.take_slice(64);
  auto const* place = whole.bytes().data();
  auto part = whole.part(10, 20);
  CHECK(part.bytes().data() == place + 10);
  CHECK(whole.writable().empty());  // two slices: nobody may write
  whole = slice();
  CHECK(pool.used_buffers() == 1);
  CHECK(part.writable().size() == 20);
  part = slice();
  CHECK(pool.used_buffers() == 0);
  CHECK(pool.take_slice(1).bytes().data() == place);
}

TEST_CASE("More than a buffer is refused without taking one") {
  buffer_pool pool(64, 640);
  CHECK(pool.take_slice(65).size() == 0);
  CHECK(pool.used_buffers() == 0);
}

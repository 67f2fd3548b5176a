#include "morgana/net/segment.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>
#include <vector>

#include "morgana/net/own_buffer.hpp"

using namespace morgana::net;

namespace {

/// Counts how often it came back to its pool.
class test_buffer final : public buffer {
 public:
  explicit test_buffer(std::size_t size, std::uint8_t first = 0)
      : test_buffer(std::vector<std::byte>(size), first) {}
  int returned = 0;

 private:
  test_buffer(std::vector<std::byte> storage, std::uint8_t first)
      : buffer(storage), storage_(std::move(storage)) {
    for (std::size_t i = 0; i < storage_.size(); ++i) storage_[i] = static_cast<std::byte>(first + i);
  }
  void unused() override { ++returned; }
  std::vector<std::byte> storage_;
};

std::vector<std::byte> bytes_of(segment const& packet) {
  std::vector<std::byte> bytes(packet.size());
  REQUIRE(packet.copy_out(0, bytes));
  return bytes;
}

}  // namespace

TEST_CASE("a buffer returns to its pool when its last slice goes") {
  test_buffer memory(100);
  {
    slice const whole(memory, 0, 100);
    slice part = whole.part(10, 20);
    CHECK(memory.users() == 2);
    CHECK(part.writable().empty());
    slice const moved = std::move(part);
    CHECK(memory.users() == 2);
    CHECK(moved.bytes().front() == std::byte{10});
    part = moved;
    CHECK(memory.users() == 3);
    CHECK(memory.returned == 0);
  }
  CHECK(memory.users() == 0);
  CHECK(memory.returned == 1);
}

TEST_CASE("a slice with memory of its own keeps it for all its copies and begins with zeros") {
  auto whole = allocate_slice(100'000);
  REQUIRE(whole.size() == 100'000);
  CHECK(std::ranges::count(whole.bytes(), std::byte{0}) == 100'000);
  whole.writable().back() = std::byte{7};
  auto const copy = whole.part(99'000, 1'000);
  CHECK(whole.writable().empty());
  whole.reset();
  CHECK(copy.bytes().back() == std::byte{7});
  CHECK(allocate_slice(0).size() == 0);
}

TEST_CASE("a slice can be written only while nobody else has one of its buffer") {
  test_buffer memory(10);
  slice one(memory, 2, 4);
  CHECK(one.writable().size() == 4);
  slice const other = one.part(0, 1);
  CHECK(one.writable().empty());
}

TEST_CASE("parts and drops never leave their slice") {
  test_buffer memory(100);
  slice one(memory, 10, 50);
  CHECK(one.part(40, 100).size() == 10);
  CHECK(one.part(100, 1).size() == 0);
  one.drop_front(5);
  one.drop_back(5);
  CHECK(one.size() == 40);
  CHECK(one.bytes().front() == std::byte{15});
  one.drop_front(1000);
  CHECK(one.size() == 0);
  one.drop_back(1);
  CHECK(one.size() == 0);
}

TEST_CASE("headers are pushed from back to front, up to the headroom") {
  segment packet;
  auto const inner = packet.push_header(8);
  REQUIRE(inner.size() == 8);
  std::ranges::fill(inner, std::byte{2});
  auto const outer = packet.push_header(4);
  std::ranges::fill(outer, std::byte{1});
  CHECK(packet.header_size() == 12);
  CHECK(packet.header().front() == std::byte{1});
  CHECK(packet.header().back() == std::byte{2});
  CHECK(packet.push_header(segment_headroom_bytes - 11).empty());
  CHECK(packet.push_header(segment_headroom_bytes - 12).size() == segment_headroom_bytes - 12);
}

TEST_CASE("a segment refuses more than its limits, unchanged") {
  test_buffer memory(65'600);
  segment packet;
  for (std::size_t i = 0; i < segment_slices_max; ++i) CHECK(packet.append(slice(memory, i, 1)));
  CHECK_FALSE(packet.append(slice(memory, 0, 1)));
  CHECK(packet.size() == segment_slices_max);

  packet.clear();
  CHECK(memory.users() == 0);
  CHECK(packet.append(slice(memory, 0, segment_bytes_max)));
  CHECK_FALSE(packet.append(slice(memory, 0, 1)));
  CHECK(packet.push_header(1).empty());
  CHECK(packet.size() == segment_bytes_max);
}

TEST_CASE("whatever is dropped and copied, a segment holds what a plain array would") {
  auto const seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  test_buffer memory(256);
  for (int round = 0; round < 2000; ++round) {
    segment packet;
    std::vector<std::byte> model;
    auto const header = packet.push_header(random() % 60);
    for (auto& byte : header) byte = static_cast<std::byte>(random());
    model.assign(header.begin(), header.end());
    for (auto slices = random() % 6; slices > 0; --slices) {
      auto const offset = random() % 200;
      auto const size = random() % 50;
      REQUIRE(packet.append(slice(memory, offset, size)));
      auto const bytes = memory.memory().subspan(offset, size);
      model.insert(model.end(), bytes.begin(), bytes.end());
    }
    for (int step = 0; step < 4; ++step) {
      auto const gone = random() % 70;
      auto const dropped = static_cast<std::ptrdiff_t>(std::min<std::size_t>(gone, model.size()));
      if (random() % 2 == 0) {
        packet.drop_front(gone);
        model.erase(model.begin(), model.begin() + dropped);
      } else {
        packet.drop_back(gone);
        model.erase(model.end() - dropped, model.end());
      }
      REQUIRE(packet.size() == model.size());
      REQUIRE(bytes_of(packet) == model);
      auto const offset = random() % (model.size() + 1);
      std::vector<std::byte> some(random() % 40);
      bool const fits = some.size() <= model.size() - offset;
      REQUIRE(packet.copy_out(offset, some) == fits);
      if (fits)
        REQUIRE(std::equal(some.begin(), some.end(), model.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
  }
  CHECK(memory.users() == 0);
}

TEST_CASE("clear makes a segment as new") {
  test_buffer memory(10);
  segment packet;
  (void)packet.push_header(20);
  (void)packet.append(slice(memory, 0, 5));
  packet.gso_size = 1460;
  packet.gso_kind = segmentation::tcp_v4;
  packet.checksum = checksum_state::partial;
  packet.receive_hash = 5;
  packet.clear();
  CHECK(packet.size() == 0);
  CHECK(packet.gso_size == 0);
  CHECK(packet.gso_kind == segmentation::none);
  CHECK(packet.checksum == checksum_state::unchecked);
  CHECK(packet.receive_hash == 0);
  CHECK(memory.users() == 0);
}

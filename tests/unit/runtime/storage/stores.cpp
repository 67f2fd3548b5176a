// Stores and disks in memory.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "morgana/storage/content_hash.hpp"
#include "morgana/storage/embedded_store.hpp"
#include "morgana/storage/memory_block_device.hpp"
#include "morgana/storage/memory_store.hpp"

using namespace morgana;
using storage::storage_error;

namespace {

// As the driver writes it (embedded_store.hpp).
constexpr unsigned char file_0[] = {'b', 'o', 'd', 'y'};
constexpr unsigned char file_2[] = {'h', 'e', 'l', 'l', 'o'};
constexpr unsigned char file_3[] = {'z'};
constexpr embedded_file files[] = {
    {.key = "css/site.css", .bytes = file_0, .information = {.size_bytes = 4, .content_hash = 1}},
    {.key = "empty", .bytes = nullptr, .information = {.size_bytes = 0, .content_hash = 2}},
    {.key = "index.html", .bytes = file_2, .information = {.size_bytes = 5, .content_hash = 3}},
    {.key = "\xc3\xa9", .bytes = file_3, .information = {.size_bytes = 1, .content_hash = 4}},
};
constexpr embedded_table no_files{{}};

}  // namespace

// References as template arguments need linkage.
extern embedded_table const table;
constinit embedded_table const table{files};

static_assert(key_value_store<embedded_store<table>>);
static_assert(key_value_store<memory_store>);
static_assert(block_device<memory_block_device>);
static_assert(block_device<sized_memory_block_device<4096>>);

namespace {

std::string text(std::span<std::byte const> from) {
  return {reinterpret_cast<char const*>(from.data()), from.size()};
}
std::span<std::byte const> bytes(std::string_view from) { return std::as_bytes(std::span(from)); }

template <key_value_store Store>
std::vector<std::string> all_keys(Store& store) {
  std::vector<std::string> found;
  REQUIRE(store.keys([](void* with, std::string_view key,
                        value_information const&) { static_cast<std::vector<std::string>*>(with)->emplace_back(key); },
                     &found));
  return found;
}

template <key_value_store Store>
std::string read_in_parts(Store& store, std::string_view key, std::size_t part) {
  std::string all;
  std::vector<std::byte> buffer(part);
  for (;;) {
    auto const count = store.read(key, all.size(), buffer).await_resume();
    REQUIRE(count);
    if (*count == 0) return all;
    all += text(std::span(buffer).first(*count));
  }
}

}  // namespace

TEST_CASE("an embedded store finds every file and no other") {
  embedded_store<table> store;
  for (auto const& file : files) {
    auto const found = store.stat(file.key).await_resume();
    REQUIRE(found);
    CHECK(*found == file.information);
    CHECK(text(store.view(file.key)) == text(file.view()));
    CHECK(store.view(file.key).data() != nullptr);
    CHECK(read_in_parts(store, file.key, 3) == text(file.view()));
  }
  CHECK(all_keys(store) == std::vector<std::string>{"css/site.css", "empty", "index.html", "\xc3\xa9"});
  for (auto const* const key : {"css", "index.htm", "index.html2", "a", "zz"}) {
    auto const missing = store.stat(key).await_resume();
    REQUIRE(!missing);
    CHECK(missing.error().is(storage_error::not_found));
    CHECK(store.view(key).data() == nullptr);
  }
  auto const wrong = store.stat("../index.html").await_resume();
  REQUIRE(!wrong);
  CHECK(wrong.error().is(storage_error::invalid_key));
  std::byte buffer[4];
  CHECK(*store.read("index.html", UINT64_MAX, buffer).await_resume() == 0);
  CHECK(storage::find(no_files, "x") == nullptr);
}

TEST_CASE("a memory store keeps what it was given") {
  memory_store store;
  REQUIRE(store.put("b", bytes("two"), 17));
  REQUIRE(store.put("a/x", bytes("one")));
  REQUIRE(store.put("b", bytes("other")));
  REQUIRE(store.put("e", {}));
  CHECK(all_keys(store) == std::vector<std::string>{"a/x", "b", "e"});
  CHECK(text(store.view("b")) == "other");
  CHECK(store.view("e").data() != nullptr);
  CHECK(read_in_parts(store, "b", 2) == "other");
  auto const about = store.stat("b").await_resume();
  REQUIRE(about);
  CHECK(about->size_bytes == 5);
  CHECK(about->content_hash == storage::content_hash(bytes("other")));
  REQUIRE(store.remove("b"));
  auto const gone = store.remove("b");
  REQUIRE(!gone);
  CHECK(gone.error().is(storage_error::not_found));
  auto const wrong = store.put("/b", bytes("x"));
  REQUIRE(!wrong);
  CHECK(wrong.error().is(storage_error::invalid_key));
}

TEST_CASE("the content hash is the documented function") {
  // Worked out by another program from the description in content_hash.hpp.
  CHECK(storage::content_hash(bytes("")) == 0xefd01f60ba992926u);
  CHECK(storage::content_hash(bytes("a")) == 0x25ad9d1b70de62d1u);
  CHECK(storage::content_hash(bytes("hello, world")) == 0x7bb96238b6fecbe2u);
  storage::content_hasher parts;
  parts.add(bytes("hello"));
  parts.add(bytes(", world"));
  CHECK(parts.value() == storage::content_hash(bytes("hello, world")));
  static_assert(storage::content_hash(std::span<unsigned char const>(file_3)) != 0);
}

TEST_CASE("a memory disk keeps sectors, and says what is out of range, misaligned or read-only before it moves any") {
  memory_block_device disk(4096 + 100);
  CHECK(disk.information().sectors == 8);
  CHECK(disk.information().sector_bytes == 512);
  std::vector<std::byte> const pattern(1024, std::byte{0x5a});
  REQUIRE(disk.write(6, pattern).await_resume());
  std::vector<std::byte> whole(4096);
  REQUIRE(disk.read(0, whole).await_resume());
  CHECK(whole[6 * 512 - 1] == std::byte{0});
  CHECK(whole[6 * 512] == std::byte{0x5a});
  CHECK(whole.back() == std::byte{0x5a});
  CHECK(disk.read(8, {}).await_resume());

  auto const error_of = [](result<void> outcome) {
    REQUIRE(!outcome);
    return std::move(outcome.error());
  };
  CHECK(error_of(disk.write(7, pattern).await_resume()).is(storage_error::out_of_range));
  CHECK(error_of(disk.read(UINT64_MAX, std::span(whole).first(512)).await_resume()).is(storage_error::out_of_range));
  CHECK(error_of(disk.read(9, {}).await_resume()).is(storage_error::out_of_range));
  CHECK(error_of(disk.read(0, std::span(whole).first(100)).await_resume()).is(storage_error::misaligned));
  CHECK(disk.flush().await_resume());
  disk.make_read_only();
  CHECK(error_of(disk.write(0, pattern).await_resume()).is(storage_error::read_only));
}

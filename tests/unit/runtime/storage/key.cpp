// Which texts are keys.
#include "morgana/storage/key.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "morgana/storage/key_value_store.hpp"

using morgana::storage::is_valid_key;

TEST_CASE("relative paths are keys") {
  for (auto const* const key : {"a", "index.html", "css/site.css", "a/b/c/d", ".well-known/x", "...", "a..b", "..a/b..",
                                "with space", "%2e%2e", "~", "\xc3\xa9t\xc3\xa9.txt", "\xf0\x9f\x98\x80"}) {
    INFO(key);
    CHECK(is_valid_key(key));
  }
}

TEST_CASE("nothing that could leave a folder or mean two things is a key") {
  for (auto const* const key : {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "a/./b"}) {
    INFO(key);
    CHECK(!is_valid_key(key));
  }
}

TEST_CASE("control characters and bytes that are not UTF-8 are no keys") {
  using namespace std::string_view_literals;
  for (auto const key : {"a\0b"sv, "a\nb"sv, "\x7f"sv, "\xff"sv, "\xc3"sv, "a\x80"sv, "\xc0\xaf"sv, "\xe0\x80\xaf"sv,
                         "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv, "\xf0\x80\x80\x80"sv, "\xe2\x82"sv}) {
    CHECK(!is_valid_key(key));
  }
}

TEST_CASE("a key has at most key_bytes_max bytes") {
  CHECK(is_valid_key(std::string(morgana::key_bytes_max, 'x')));
  CHECK(!is_valid_key(std::string(morgana::key_bytes_max + 1, 'x')));
}

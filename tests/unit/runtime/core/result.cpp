#include "morgana/core/result.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "morgana/core/text.hpp"

using namespace morgana;

namespace {

enum class other_error : std::uint8_t { first };
error_domain const& domain_of(other_error) {
  static constexpr error_domain domain{"other", [](std::uint32_t) { return std::string_view("other"); }};
  return domain;
}

std::string text_of(error const& value) {
  fixed_text<256> out;
  write_text(out, value);
  return std::string(out.view());
}

}  // namespace

TEST_CASE("an error prints the chain of what was being done, outermost first") {
  auto what = error(core_error::timed_out).during("connect").during("start → network");
  CHECK(text_of(what) == "start → network: connect: timed out");
  CHECK(text_of(error(core_error::limit_reached, 512)) == "limit reached (512)");
}

TEST_CASE("an error answers what it is at every level of its chain") {
  auto what = error(core_error::timed_out, 7).during("inner").during("outer");
  CHECK(what.is(core_error::timed_out));
  CHECK_FALSE(what.is(core_error::closed));
  CHECK(what.detail() == 7);
  CHECK(what.activity() == "outer");
  REQUIRE(what.cause() != nullptr);
  CHECK(what.cause()->activity() == "inner");
  REQUIRE(what.cause()->cause() != nullptr);
  CHECK(what.cause()->cause()->cause() == nullptr);
  CHECK(what.cause()->cause()->activity().empty());
}

TEST_CASE("equal codes of different areas are different errors") {
  error const one(core_error::timed_out);
  CHECK_FALSE(one.is(static_cast<other_error>(core_error::timed_out)));
}

TEST_CASE("a copied error has a chain of its own") {
  auto original = error(core_error::closed).during("read").during("serve");
  error copy = original;
  original = error(core_error::not_found);
  CHECK(text_of(copy) == "serve: read: closed");
  original = copy;
  copy = std::move(original).during("again");
  CHECK(text_of(copy) == "again: serve: read: closed");
  auto& same = copy;
  copy = same;
  CHECK(text_of(copy) == "again: serve: read: closed");
}

TEST_CASE("an error is as small to move as promised") {
  CHECK(sizeof(error) <= 32);
}

TEST_CASE("every error of core has a text of its own") {
  std::vector<std::string_view> seen;
  for (std::uint32_t code = 0; code <= static_cast<std::uint32_t>(core_error::closed); ++code) {
    auto const text = error(static_cast<core_error>(code)).message();
    CHECK_FALSE(text.empty());
    CHECK(std::find(seen.begin(), seen.end(), text) == seen.end());
    seen.push_back(text);
  }
}

#include "morgana/core/text.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <string>

using namespace morgana;

TEST_CASE("placeholders are filled in order, in natural form or in hexadecimal") {
  fixed_text<128> out;
  out.append("{} of {} bytes, {x}, {}, {}", 3, 10u, 255, "text", true);
  CHECK(out.view() == "3 of 10 bytes, ff, text, true");
  CHECK_FALSE(out.was_cut());
}

TEST_CASE("a negative number in hexadecimal has the width of its type") {
  fixed_text<64> out;
  out.append("{x} {x}", std::int8_t{-1}, std::int64_t{-1});
  CHECK(out.view() == "ff ffffffffffffffff");
}

TEST_CASE("braces that are no placeholder stay as they are") {
  fixed_text<64> out;
  out.append("{ {y} {} }", 1);
  CHECK(out.view() == "{ {y} 1 }");
}

TEST_CASE("numbers at the ends of their range are written in full") {
  fixed_text<128> out;
  out.append("{} {} {}", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max(),
             0);
  CHECK(out.view() == "-9223372036854775808 18446744073709551615 0");
}

TEST_CASE("numbers are padded to a width") {
  fixed_text<32> out;
  out.put_unsigned(42, 10, 5);
  out.put_unsigned(10, 16, 4, '0');
  CHECK(out.view() == "   42000a");
}

TEST_CASE("what does not fit is cut and remembered") {
  fixed_text<4> out;
  out.put("abc");
  CHECK_FALSE(out.was_cut());
  out.put("def");
  CHECK(out.view() == "abcd");
  CHECK(out.was_cut());
  out.clear();
  CHECK(out.view().empty());
  CHECK_FALSE(out.was_cut());
}

TEST_CASE("escaping leaves text alone and shows what a terminal would obey") {
  fixed_text<128> out;
  SECTION("plain UTF-8") {
    out.put_escaped("grüße → 日本 😀");
    CHECK(out.view() == "grüße → 日本 😀");
  }
  SECTION("controls") {
    out.put_escaped("a\nb\tc\r\x1b[2J\x7f");
    CHECK(out.view() == "a\\nb\\tc\\r\\x1b[2J\\x7f");
  }
  SECTION("the C1 control that is an escape in eight bits") {
    out.put_escaped("\xc2\x9b");
    CHECK(out.view() == "\\xc2\\x9b");
  }
  SECTION("direction marks") {
    out.put_escaped("\xe2\x80\xae");
    CHECK(out.view() == "\\xe2\\x80\\xae");
  }
  SECTION("no UTF-8: alone, overlong, surrogate, cut short, too large") {
    out.put_escaped("\x80 \xc0\xaf \xed\xa0\x80 \xe2\x82 \xf4\x90\x80\x80");
    CHECK(out.view() == "\\x80 \\xc0\\xaf \\xed\\xa0\\x80 \\xe2\\x82 \\xf4\\x90\\x80\\x80");
  }
}

TEST_CASE("whatever bytes are escaped, no control character comes out") {
  auto const seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 20, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random());
    fixed_text<128> out;
    out.put_escaped(bytes);
    for (char const c : out.view()) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) FAIL("a control character came through");
    }
  }
}

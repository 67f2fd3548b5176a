#include "morgana/core/options.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace morgana;

namespace {

enum class color { red, green };

struct base_options {
  std::uint16_t port = 8080;
};
struct inner_options : base_options {
  std::int8_t small = -3;
  bool verbose = false;
  std::string_view greeting = "hello";
  std::string owned = "x";
  std::chrono::seconds pause = std::chrono::seconds(10);
  color paint = color::red;
  std::optional<std::uint64_t> limit;
};
struct all_options {
  inner_options app;
};

}  // namespace

template <>
struct morgana::option_names<color> {
  static constexpr std::pair<std::string_view, color> values[] = {{"red", color::red},
                                                                  {"green", color::green}};
};

namespace {

constexpr boot_option table[] = {
    option<&all_options::app, &base_options::port>("port", "Port to listen on."),
    option<&all_options::app, &inner_options::small>("small", ""),
    option<&all_options::app, &inner_options::verbose>("verbose", "Log every request."),
    option<&all_options::app, &inner_options::greeting>("greeting", "What is said to those who come."),
    option<&all_options::app, &inner_options::owned>("owned", ""),
    option<&all_options::app, &inner_options::pause>("pause", "How long."),
    option<&all_options::app, &inner_options::paint>("paint", "Its colour."),
    option<&all_options::app, &inner_options::limit>("network.limit", "Most of it."),
};

std::string refused(std::vector<std::string_view> arguments) {
  all_options into;
  auto const assigned = assign_options(table, &into, arguments);
  if (assigned) return "";
  fixed_text<512> out;
  write_text(out, assigned.error());
  return std::string(out.view());
}

all_options accepted(std::vector<std::string_view> arguments) {
  all_options into;
  auto const assigned = assign_options(table, &into, arguments);
  REQUIRE(assigned.has_value());
  return into;
}

}  // namespace

TEST_CASE("options are taken with an equals sign or as the next argument, the last one wins") {
  auto const got = accepted({"--port=80", "--small", "-7", "--verbose", "--greeting=a=b", "--pause=2min",
                             "--paint", "green", "--network.limit=0x10", "--port", "81", "--owned="});
  CHECK(got.app.port == 81);
  CHECK(got.app.small == -7);
  CHECK(got.app.verbose);
  CHECK(got.app.greeting == "a=b");
  CHECK(got.app.pause == std::chrono::minutes(2));
  CHECK(got.app.paint == color::green);
  CHECK(got.app.limit == 16u);
  CHECK(got.app.owned.empty());
}

TEST_CASE("a flag can be given a value, and does not eat the next argument") {
  CHECK_FALSE(accepted({"--verbose", "--verbose=false"}).app.verbose);
  CHECK(refused({"--verbose", "true"}) == "true: not an option; options are written --NAME=VALUE");
}

TEST_CASE("every wrong argument is refused in one line that says what is expected") {
  CHECK(refused({"--port=65536"}) == "--port=65536: out of range, expected a number from 0 to 65535");
  CHECK(refused({"--port=-1"}) == "--port=-1: out of range, expected a number from 0 to 65535");
  CHECK(refused({"--port=http"}) == "--port=http: cannot be read, expected a number from 0 to 65535");
  CHECK(refused({"--port="}) == "--port=: cannot be read, expected a number from 0 to 65535");
  CHECK(refused({"--port"}) == "--port: its value is missing, expected a number from 0 to 65535");
  CHECK(refused({"--small=-129"}) == "--small=-129: out of range, expected a number from -128 to 127");
  CHECK(refused({"--verbose=maybe"}) == "--verbose=maybe: cannot be read, expected true or false");
  CHECK(refused({"--paint=blue"}) == "--paint=blue: no such value, expected red, green");
  CHECK(refused({"--pause=250ms"}) ==
        "--pause=250ms: too fine a time for this option, expected a time such as 250ms, 10s, 2min or 1h");
  CHECK(
      refused({"--network.limit=18446744073709551616"}) ==
      "--network.limit=18446744073709551616: out of range, expected a number from 0 to 18446744073709551615");
  CHECK(refused({"-p"}) == "-p: not an option; options are written --NAME=VALUE");
  CHECK(refused({"--"}) == "--: not an option; options are written --NAME=VALUE");
  CHECK(refused({"--port=\x1b[2J"}) == "--port=\\x1b[2J: cannot be read, expected a number from 0 to 65535");
}

TEST_CASE("decimal digits are a number, and nothing else is") {
  CHECK(parse_decimal("0") == 0);
  CHECK(parse_decimal("18446744073709551615") == 18446744073709551615u);
  CHECK(parse_decimal("4294967295", 4294967295) == 4294967295);
  CHECK(parse_decimal("5", 5) == 5);
  for (auto const* const text : {"", " 1", "1 ", "+1", "-1", "0x1", "18446744073709551616", "99999999999999999999"}) {
    CHECK_FALSE(parse_decimal(text));
  }
  CHECK_FALSE(parse_decimal("4294967296", 4294967295));
  CHECK_FALSE(parse_decimal("6", 5));
}

TEST_CASE("the nearest name is suggested, but nothing far-fetched") {
  CHECK(refused({"--prot=80"}) == "--prot=80: no such option; did you mean --port?");
  CHECK(refused({"--greting=x"}) == "--greting=x: no such option; did you mean --greeting?");
  CHECK(refused({"--limit=3"}) == "--limit=3: no such option; did you mean --network.limit?");
  CHECK(refused({"--xylophone"}) == "--xylophone: no such option");
  CHECK(refused({"--" + std::string(5000, 'p')}).ends_with("ppp"));
}

TEST_CASE("values are parsed at compile time for options that are fixed") {
  static_assert(parse_fixed<std::uint16_t>("8080") == 8080);
  static_assert(parse_fixed<std::int64_t>("-9223372036854775808") ==
                std::numeric_limits<std::int64_t>::min());
  static_assert(parse_fixed<bool>("on"));
  static_assert(parse_fixed<std::string_view>("text") == "text");
  static_assert(parse_fixed<std::chrono::milliseconds>("2min").count() == 120'000);
  static_assert(parse_fixed<color>("green") == color::green);
  static_assert(parse_fixed<std::optional<int>>("7") == 7);
  SUCCEED();
}

TEST_CASE("durations have one unit, and what they are written as is read back") {
  using parser = option_parser<std::chrono::nanoseconds>;
  for (auto text : {"250ms", "10s", "2min", "1h", "-3us", "7ns", "0s"}) {
    auto const parsed = parser::parse(text);
    REQUIRE(parsed.has_value());
    fixed_text<32> out;
    write_text(out, *parsed);
    CHECK(out.view() == text);
  }
  CHECK(*parser::parse("2d") == std::chrono::hours(48));
  CHECK(*parser::parse("0") == std::chrono::nanoseconds(0));
  for (auto wrong : {"", "10", "s", "10 s", "1.5s", "10sec", "--1s", "9223372036854775808ns", "300000000h"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parser::parse(wrong).has_value());
  }
}

TEST_CASE("help shows name, placeholder, text and default, wrapped at 80 columns") {
  constexpr boot_option long_table[] = {
      option<&all_options::app, &base_options::port>("port", "Port to listen on."),
      option<&all_options::app, &inner_options::verbose>("verbose", "Log every request."),
      option<&all_options::app, &inner_options::paint>("paint", "Its colour."),
      option<&all_options::app, &inner_options::limit>("network.a-rather-long-name", "Most of it."),
      option<&all_options::app, &inner_options::greeting>(
          "greeting",
          "What is said to those who come in, unless they have been here before, or leave at once."),
      option<&all_options::app, &inner_options::small>("small", ""),
  };
  all_options object;
  std::string text;
  write_option_help(
      {long_table, &object},
      [](void* to, std::string_view line) {
        CHECK(line.size() <= 80);
        static_cast<std::string*>(to)->append(line).append("\n");
      },
      &text);
  CHECK(text == R"(  --port=NUMBER             Port to listen on. (default: 8080)
  --verbose                 Log every request.
  --paint=NAME              Its colour. (red, green; default: red)
  --network.a-rather-long-name=NUMBER
                            Most of it.
  --greeting=TEXT           What is said to those who come in, unless they have
                            been here before, or leave at once. (default: hello)
  --small=NUMBER            (default: -3)
)");
}

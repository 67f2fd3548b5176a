#include "morgana/core/log.hpp"

#include <catch2/catch.hpp>

#include "fake_platform.hpp"
#include "morgana/core/console_log.hpp"

using namespace morgana;
using namespace morgana::test;

namespace {

log_levels levels(std::string_view text) {
  auto parsed = option_parser<log_levels>::parse(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

}  // namespace

TEST_CASE("a line on the console has time, source, level and message") {
  fake_platform platform;
  executor runs;
  (void)runs.run_ready(instant(1042ms));
  console_log sink(runs);
  log_source(sink, "http").info("listening on {}", 80);
  CHECK(platform.console() == "[   1.042] http: info: listening on 80\n");
}

TEST_CASE("levels hold for all sources or for one") {
  auto const parsed = levels("http:debug,net:error,warning");
  CHECK(parsed.of("http") == log_level::debug);
  CHECK(parsed.of("net") == log_level::error);
  CHECK(parsed.of("boot") == log_level::warning);
  CHECK(levels("debug").of("anything") == log_level::debug);

  fixed_text<64> out;
  write_text(out, parsed);
  CHECK(out.view() == "http:debug,net:error,warning");
}

TEST_CASE("a text of levels that is wrong in any part is refused") {
  for (auto wrong : {"", "loud", "http:", ":debug", "http:debug,", "http:debug:info", "a:info,,b:info"}) {
    CAPTURE(wrong);
    CHECK_FALSE(option_parser<log_levels>::parse(wrong).has_value());
  }
  std::string many = "info";
  for (std::size_t i = 0; i <= log_levels::sources_max; ++i) many += ",s" + std::to_string(i) + ":info";
  auto const refused = option_parser<log_levels>::parse(many);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().is(core_error::limit_reached));
}

TEST_CASE("a source says only what its level lets through") {
  fake_platform platform;
  executor runs;
  console_log sink(runs);
  sink.set_levels(levels("quiet:error,info"));
  log_source(sink, "quiet").warning("no");
  log_source(sink, "other").debug("no");
  log_source(sink, "other").info("yes");
  CHECK(platform.console() == "[   0.000] other: info: yes\n");
}

TEST_CASE("control characters of a peer do not reach the terminal") {
  fake_platform platform;
  executor runs;
  console_log sink(runs);
  log_source(sink, "http").info("path {}", "/\x1b[2J\nfake: line");
  CHECK(platform.console() == "[   0.000] http: info: path /\\x1b[2J\\nfake: line\n");
}

TEST_CASE("a message that is too long is cut between characters and says so") {
  memory_log sink;
  std::string const longer(log_sink::message_bytes_max + 10, 'x');
  log_source(sink, "s").info("{}", longer);
  CHECK(sink.text.size() == std::string_view("info s: \n").size() + log_sink::message_bytes_max);
  CHECK(sink.text.ends_with("x...\n"));

  sink.text.clear();
  std::string const umlauts = [] {
    std::string text = "x";
    while (text.size() < log_sink::message_bytes_max + 10) text += "ü";
    return text;
  }();
  log_source(sink, "s").info("{}", umlauts);
  CHECK(sink.text.find("\\x") == std::string::npos);
  CHECK(sink.text.ends_with("...\n"));
}

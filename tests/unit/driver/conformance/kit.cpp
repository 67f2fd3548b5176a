// The kit against a target that keeps every promise, and against targets that each break one.
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include "morgana/driver/conformance.hpp"

using namespace morgana::driver;
using Catch::Matchers::Contains;

namespace {

target playing(std::string const& broken) {
  target on;
  on.name = "played";
  on.folder = MORGANA_TEST_PROGRAMS;
  on.runner = {"kit_runner", broken};
  return on;
}

conformance_report check(std::string const& broken, std::vector<std::string> levels,
                         std::chrono::milliseconds deadline = std::chrono::seconds(60)) {
  auto const on = playing(broken);
  conformance_input const input{
      .on = &on,
      .guests = "/guests",
      .build = [](auto const& folder, auto const&) -> outcome<std::filesystem::path> { return folder; },
      .levels = std::move(levels),
      .run_deadline = deadline};
  auto report = check_conformance(input);
  REQUIRE(report);
  return std::move(*report);
}

struct breakage {
  char const* broken;
  char const* level;
  char const* said;          ///< part of the reason
  int deadline_ms = 60'000;  ///< short where the breakage is that nothing comes
};

}  // namespace

TEST_CASE("a target that keeps its promises passes every level") {
  auto const report = check("nothing", {});
  CHECK(report.passed());
  REQUIRE(report.levels.size() == conformance_levels().size());
  for (std::size_t i = 0; i < report.levels.size(); ++i) {
    INFO(report.levels[i].name << ": " << report.levels[i].reason);
    CHECK(report.levels[i].verdict ==
          (conformance_levels()[i].is_coming ? level_verdict::coming : level_verdict::passed));
  }
}

TEST_CASE("a clock that does not know the civil time and says so passes") {
  CHECK(check("time-wall-unset", {"time"}).passed());
}

TEST_CASE("the kit catches every broken promise and says which") {
  auto const one = GENERATE(values<breakage>({
      {"runner-silent", "boot", "did not say hello", 2000},
      {"runner-dies", "boot", "ended with status 9"},
      {"exit-unsaid", "boot", "without saying how the guest ended"},
      {"never-starts", "boot", "did not end within", 2000},
      {"nothing-printed", "boot", "without having printed"},
      {"boot-crash", "boot", "status 0 was expected, it ended with 70 (crashed)"},
      {"console-garbled", "console", "byte 200 of the pattern is 0x3f, 0xc8 was printed"},
      {"console-cut", "console", "4096 arrived"},
      {"console-newlines", "console", "byte 10 of the pattern is 0x0d"},
      {"console-twice", "console", "were printed"},
      {"console-reordered", "console", "byte 1000"},
      {"console-end-lost", "console", "marks"},
      {"console-endless", "console", "printed more than"},
      {"time-backwards", "time", "went back 3 times"},
      {"time-jumps-back", "time", "went back during a sleep"},
      {"time-fast", "time", "too fast"},
      {"time-slow", "time", "too slowly"},
      {"time-sleep-short", "time", "a sleep of 300 ms ended after 100 ms"},
      {"time-wall", "time", "off the host's"},
      {"entropy-absent", "entropy", "was not seeded"},
      {"entropy-unprinted", "entropy", "did not print"},
      {"entropy-same-each-boot", "entropy", "two boots gave the same"},
      {"entropy-one-byte", "entropy", "one byte over and over"},
      {"entropy-repeats", "entropy", "repeats itself"},
      {"entropy-poor", "entropy", "different values"},
      {"exit-code-lost", "exit-codes", "start() returned 1"},
      {"exit-code-bool", "exit-codes", "start() returned 42"},
      {"exit-reason-wrong", "exit-codes", "not `finished`"},
      {"start-error-lost", "exit-codes", "start() returned an error"},
      {"crash-unreported", "exit-codes", "left no crash report"},
      {"crash-unnoticed", "exit-codes", "a crash (assertion)"},
      {"stop-kills", "exit-codes", "an orderly stop: status 0 was expected"},
      {"stop-abrupt", "exit-codes", "did not reach start()"},
      {"stop-ignored", "exit-codes", "did not end within", 2000},
      {"kill-unsaid", "exit-codes", "not `killed`"},
      {"kill-ignored", "exit-codes", "did not end within", 2000},
      {"arguments-dropped", "arguments", "--text=plain arrived as default"},
      {"arguments-split", "arguments", "--text=two words arrived as two"},
      {"arguments-unquoted", "arguments", "quoted"},
      {"arguments-cut", "arguments", "xxx"},
      {"arguments-ascii", "arguments", "gr"},
      {"arguments-only-first", "arguments", "after the first"},
      {"arguments-wrong-accepted", "arguments", "--number=many: status 64 was expected"},
      {"arguments-unknown-accepted", "arguments", "--nonsense=1: status 64 was expected"},
      {"help-empty", "arguments", "--help does not name --text"},
      {"help-status", "arguments", "--help: status 63 was expected"},
      {"missing-device-hangs", "missing-device", "did not end within", 2000},
      {"missing-device-ignored", "missing-device", "start() was called"},
      {"missing-device-crashes", "missing-device", "status 65 was expected"},
      {"missing-device-unnamed", "missing-device", "not named"},
      {"memory-limit-ignored", "memory-limit", "the guest got 504 MiB, its limit is 64 MiB"},
      {"memory-limit-small", "memory-limit", "got only"},
      {"memory-limit-crash", "memory-limit", "status 71 was expected"},
  }));
  INFO(one.broken);
  auto const report = check(one.broken, {one.level}, std::chrono::milliseconds(one.deadline_ms));
  CHECK(!report.passed());
  REQUIRE(report.levels.size() == 1);
  CHECK_THAT(report.levels[0].reason, Contains(one.said));
}

TEST_CASE("a guest that cannot be built fails its level with the compiler's reason, and is built once") {
  auto const on = playing("nothing");
  int builds = 0;
  conformance_input const input{.on = &on,
                                .guests = "/guests",
                                .build = [&](auto const&, auto const&) -> outcome<std::filesystem::path> {
                                  ++builds;
                                  return fail({.code = "x", .message = "no such header: platform.hpp"});
                                },
                                .levels = {"boot", "entropy"}};
  auto const report = check_conformance(input);
  REQUIRE(report);
  CHECK(!report->passed());
  CHECK_THAT(report->levels[0].reason, Contains("`boot` cannot be built") && Contains("no such header"));
  CHECK(builds == 2);
}

TEST_CASE("a level that does not exist is named with the nearest") {
  auto const on = playing("nothing");
  auto const report = check_conformance({.on = &on, .guests = "/guests", .levels = {"tiem"}});
  REQUIRE(!report);
  CHECK(report.error().front().code == "unknown-name");
}

TEST_CASE("a report as text shows what failed and the end of its console, escaped") {
  conformance_report const report{.target = "board",
                                  .levels = {{.name = "boot", .verdict = level_verdict::passed},
                                             {.name = "time",
                                              .verdict = level_verdict::failed,
                                              .reason = "it \x1b[31m",
                                              .console_tail = "a\nb\x07\n"},
                                             {.name = "network", .verdict = level_verdict::coming}}};
  CHECK(to_text(report) ==
        "boot            passed\n"
        "time            FAILED: it \\x1b[31m\n"
        "    | a\n"
        "    | b\\x07\n"
        "network         coming\n"
        "board: 1 passed, 1 failed\n");
  auto const json = nlohmann::json::parse(to_json(report));
  CHECK(json["kind"] == "conformance");
  CHECK(json["passed"] == false);
  CHECK(json["levels"][1]["reason"] == "it \x1b[31m");
  CHECK(to_json(report).find('\n') == std::string::npos);
}

TEST_CASE("only the end of a long console is shown") {
  auto const report = check("console-garbled", {"console"});
  CHECK(report.levels[0].console_tail.size() <= 2048);
  CHECK_THAT(report.levels[0].console_tail, Contains("some log line after"));
}

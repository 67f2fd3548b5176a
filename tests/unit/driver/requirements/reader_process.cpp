// A reader that fails must cost one diagnostic, never the driver.
#include "driver/requirements/reader_process.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/unit/driver/requirements/support.hpp"

using namespace morgana::driver;
using namespace requirements_test;

namespace {

struct script {
  scratch_folder folder;
  std::filesystem::path path = folder.path() / "reader";

  explicit script(std::string_view text) {
    std::ofstream(path) << "#!/bin/sh\n" << text << '\n';
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
};

std::string message_of(outcome<std::string> const& failed) {
  REQUIRE(!failed);
  REQUIRE(failed.error().size() == 1);
  return failed.error()[0].code + ": " + failed.error()[0].message;
}

}  // namespace

TEST_CASE("an answer is what the reader printed, however long request and answer are") {
  script const cat("exec cat");
  std::string const long_text(3'000'000, 'x');
  auto const answer = run_reader(cat.path, long_text);
  REQUIRE(answer);
  CHECK(*answer == long_text);
}

TEST_CASE("a reader that does not listen does not stop the driver") {
  script const deaf("exec 0<&-; echo answer");
  auto const answer = run_reader(deaf.path, std::string(3'000'000, 'x'));
  REQUIRE(answer);
  CHECK(*answer == "answer\n");
}

TEST_CASE("a reader that crashes is named with its signal and last words") {
  script const crash("echo parsing something >&2; kill -SEGV $$");
  auto const failed = run_reader(crash.path, "request");
  CHECK(message_of(failed) == "parser-failed: reader was ended by a signal: Segmentation fault");
  CHECK(failed.error()[0].notes.at(0).message == "it said:\nparsing something\n");
}

TEST_CASE("a reader that hangs is stopped at the deadline") {
  script const hang("exec sleep 1000");
  CHECK(message_of(run_reader(hang.path, "request", std::chrono::milliseconds(200))) ==
        "parser-failed: reader did not finish within 200 ms and was stopped");
}

TEST_CASE("a reader that says all and then hangs is stopped too") {
  script const hang("echo answer; exec >&- 2>&- 0<&-; exec sleep 1000");
  auto const failed = message_of(run_reader(hang.path, "request", std::chrono::milliseconds(200)));
  CHECK(failed.find("parser-failed: ") == 0);
}

TEST_CASE("a reader that fails is named with its exit code") {
  script const wrong("exit 3");
  CHECK(message_of(run_reader(wrong.path, "")) == "parser-failed: reader failed with exit code 3");
}

TEST_CASE("a reader that is missing is a missing tool") {
  auto input = input_of("simple");
  input.reader = data / "nowhere";
  auto const failed = read_requirements(input);
  REQUIRE(!failed);
  CHECK(failed.error().at(0).code == "missing-tool");
  CHECK(message_of(run_reader(input.reader, "")).find("missing-tool: cannot start") == 0);
}

TEST_CASE("a reader of another version is recognised") {
  script const other("echo '{\"files\":[]}'");
  auto input = input_of("simple");
  input.reader = other.path;
  auto const failed = read_requirements(input);
  REQUIRE(!failed);
  CHECK(failed.error().at(0).code == "parser-failed");
}

TEST_CASE("an entry point that does not exist is named") {
  auto const failed = read_requirements(input_of("not_there"));
  REQUIRE(!failed);
  CHECK(failed.error().at(0).code == "missing-file");
}

TEST_CASE("endless templates and constants end in clang's own error") {
  scratch_folder folder;
  auto input = input_of("simple");
  input.entry = folder.path() / "unikernel.hpp";
  std::string text = "#include <morgana/app.hpp>\n";
  SECTION("templates") {
    text +=
        "template <int N> struct deep { static constexpr int value = deep<N + 1>::value; };\n"
        "struct options { int port = deep<0>::value; };\n";
  }
  SECTION("loops") {
    text +=
        "constexpr int loop() { for (;;) {} }\nstruct options { int port = 0; };\nconstexpr int x = "
        "loop();\n";
  }
  SECTION("includes") {
    text += "#include \"unikernel.hpp\"\nstruct options {};\n";
  }
  std::ofstream(input.entry) << text << "morgana::task<> start(options const& opt);\n";
  auto const failed = read_requirements(input);
  REQUIRE(!failed);
  CHECK(failed.error().at(0).code == "cpp-error");
}

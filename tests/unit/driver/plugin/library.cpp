// The library of a plugin: loaded, asked, and disbelieved when it breaks the contract.
#include <catch2/catch.hpp>

#include "morgana/driver/plugin_library.hpp"

using namespace morgana::driver;
using Catch::Matchers::Contains;

namespace {

target target_with(std::string const& library) {
  target out;
  out.name = "board";
  out.folder = MORGANA_TEST_PROGRAMS;
  out.file = out.folder / "board.toml";
  out.library = library;
  return out;
}

std::unique_ptr<plugin_library> load(std::string const& library) {
  auto loaded = plugin_library::load(target_with(library));
  REQUIRE(loaded);
  REQUIRE(*loaded != nullptr);
  return std::move(*loaded);
}

diagnostic load_failure(std::string const& library) {
  auto const loaded = plugin_library::load(target_with(library));
  REQUIRE(!loaded);
  REQUIRE(loaded.error().size() == 1);
  return loaded.error().front();
}

template <class T>
diagnostic failure_of(outcome<T> const& answered) {
  REQUIRE(!answered);
  REQUIRE(answered.error().size() == 1);
  return answered.error().front();
}

}  // namespace

TEST_CASE("a plugin that names no library has none") {
  target on;
  auto const loaded = plugin_library::load(on);
  REQUIRE(loaded);
  CHECK(*loaded == nullptr);
}

TEST_CASE("a plugin's verbs answer through the C border") {
  auto const plugin = load("good.so");
  auto const described = describe(*plugin);
  REQUIRE(described);
  CHECK(described->capabilities == std::vector<std::string>{"console"});
  CHECK(described->verbs.size() == 3);

  auto const problems = check_host(*plugin, "board");
  REQUIRE(problems);
  REQUIRE(problems->size() == 1);
  CHECK(problems->front().message == "no KVM");
  CHECK(problems->front().help == std::vector<std::string>{"modprobe kvm"});

  auto const artefacts = package(*plugin, "board", "/build/hello", "/build");
  REQUIRE(artefacts);
  CHECK(artefacts->at("copy") == "/build/hello");

  auto const greeted = run_command(*plugin, "greet", {"you"});
  REQUIRE(greeted);
  REQUIRE(*greeted);
  CHECK((*greeted)->exit == 3);
  CHECK((*greeted)->output == "hello you");
}

TEST_CASE("a verb that a plugin does not have means the driver's default") {
  auto const plugin = load("good.so");
  auto const answered = plugin->call("dance", "{}");
  REQUIRE(answered);
  CHECK(!*answered);
  auto const command = run_command(*plugin, "dance", {});
  REQUIRE(command);
  CHECK(!*command);
}

TEST_CASE("a plugin's own diagnostic arrives whole") {
  auto const error = failure_of(load("good.so")->call("lower", "{}"));
  CHECK(error.code == "no-slot");
  CHECK(error.message == "the \"board\" has no slot for `disk`\n");
  CHECK(error.help == std::vector<std::string>{"take another board"});
}

TEST_CASE("no exception crosses the border of a plugin") {
  auto const plugin = load("good.so");
  auto const thrown = failure_of(run_command(*plugin, "throw", {}));
  CHECK(thrown.code == "plugin-failed");
  CHECK(thrown.message == "thrown on purpose");
  CHECK(failure_of(run_command(*plugin, "throw-number", {})).code == "plugin-failed");
}

TEST_CASE("a library of another version is refused with both numbers") {
  auto const error = load_failure("future.so");
  CHECK(error.code == "plugin-api");
  CHECK_THAT(error.message, Contains("9.4") && Contains("1.0"));
}

TEST_CASE("a library that is none, or no plugin, is named") {
  CHECK(load_failure("nowhere.so").code == "plugin-library");
  CHECK_THAT(load_failure("nowhere.so").message, Contains("nowhere.so"));
  CHECK_THAT(load_failure("empty.so").message, Contains("morgana_plugin_entry"));
}

TEST_CASE("an answer against the contract is refused") {
  auto const plugin = load("broken.so");
  for (std::string const verb : {"silent", "twice", "garbage", "list", "huge", "null", "status",
                                 "fails-silently", "fails-with-a-number", "unknown-but-answers"}) {
    INFO(verb);
    auto const error = failure_of(plugin->call(verb, "{}"));
    CHECK(error.code == "plugin-response");
    CHECK_THAT(error.message, Contains(verb) && Contains("board"));
  }
  CHECK(failure_of(check_host(*plugin, "board")).code == "plugin-response");
  CHECK(failure_of(run_command(*plugin, "x", {})).code == "plugin-response");
}

#include <catch2/catch.hpp>

#include "command/cli.hpp"

using namespace morgana::driver;

TEST_CASE("what no option of ours took is an option of the application") {
  auto const options =
      application_options({"--port=80", "--network.backlog=64", "--loud", "--text=a=b", "--empty="});
  REQUIRE(options);
  CHECK(*options ==
        std::map<std::string, std::string>{
            {"port", "80"}, {"network.backlog", "64"}, {"loud", "true"}, {"text", "a=b"}, {"empty", ""}});
}

TEST_CASE("a word that is no option is refused") {
  CHECK(application_options({"other"}).error() == "`other` was not expected");
  CHECK(!application_options({"--"}));
}

TEST_CASE("every completion names every command and its options") {
  command_line line;
  define_commands(line);
  for (auto const* shell : {"bash", "zsh", "fish"}) {
    auto const script = completion_script(*line.app, shell);
    for (auto const* word : {"configure", "describe", "locked", "plugin", "check"}) {
      CHECK(script.find(word) != std::string::npos);
    }
    CHECK(script.find("internal") == std::string::npos);
  }
}

// The scaffold of a plugin: what it holds, and that the driver can read it.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "morgana/driver/scaffold_plugin.hpp"
#include "morgana/driver/target.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::test::scratch_folder;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

fs::path const templates = fs::path(MORGANA_SOURCE) / "plugins/template";

std::string text_of(std::vector<scaffold_file> const& files, fs::path const& path) {
  for (auto const& file : files) {
    if (file.path == path) return file.text;
  }
  FAIL("no " << path);
  return {};
}

}  // namespace

TEST_CASE("a scaffold has a description, guest code, a runner and a build, and no placeholder left") {
  auto const files = plugin_scaffold("sun-4", templates);
  REQUIRE(files);
  for (auto const* name :
       {"sun-4.toml", "devices.toml", "guest/entry.cpp", "guest/platform.cpp", "guest/include/sun-4/disk.hpp",
        "runner/runner.cpp", "CMakeLists.txt", "README.md"}) {
    CHECK(!text_of(*files, name).empty());
  }
  for (auto const& file : *files) {
    INFO(file.path);
    CHECK(file.path.string().find('@') == std::string::npos);
    CHECK(file.text.find("@NAME@") == std::string::npos);
    CHECK(file.text.find("@IDENTIFIER@") == std::string::npos);
  }
  CHECK_THAT(text_of(*files, "guest/platform.cpp"), Contains("namespace sun_4_target"));
}

TEST_CASE("the driver reads a scaffold's description and its devices") {
  scratch_folder const scratch;
  auto const folder = scratch.path() / "sun-4";
  auto const files = plugin_scaffold("sun-4", templates);
  REQUIRE(files);
  REQUIRE(write_scaffold(*files, folder));
  ::setenv("MORGANA_PLUGIN_PATH", folder.c_str(), 1);
  auto const found = find_target("sun-4", {});
  ::unsetenv("MORGANA_PLUGIN_PATH");
  if (!found) FAIL(found.error().front().message);
  CHECK(found->runner == std::vector<std::string>{"sun-4-runner"});
  REQUIRE(found->devices.devices.size() == 1);
  CHECK(found->devices.devices[0].type == "sun_4_target::disk");
}

TEST_CASE("a folder that holds something is left alone") {
  scratch_folder const scratch;
  std::ofstream(scratch.path() / "mine") << "mine";
  auto const written = write_scaffold({{"a", "text"}}, scratch.path());
  REQUIRE(!written);
  CHECK(written.error().front().code == "folder-exists");
  CHECK(!fs::exists(scratch.path() / "a"));
}

TEST_CASE("an empty folder is filled") {
  scratch_folder const scratch;
  REQUIRE(write_scaffold({{"deep/a", "text"}}, scratch.path()));
  std::stringstream text;
  text << std::ifstream(scratch.path() / "deep/a").rdbuf();
  CHECK(text.str() == "text");
}

TEST_CASE("a name that could not be a file or a target is refused") {
  for (auto const* name : {"", "Board", "4sun", "a b", "../x", "a/b", "ümlaut", "a-"}) {
    INFO(name);
    auto const files = plugin_scaffold(name, templates);
    REQUIRE(!files);
    CHECK(files.error().front().code == "wrong-name");
  }
  CHECK(!plugin_scaffold(std::string(64, 'a'), templates));
  CHECK(plugin_scaffold(std::string(63, 'a'), templates));
}

TEST_CASE("a template that is not there is said so") {
  auto const files = plugin_scaffold("board", "/nowhere/template");
  REQUIRE(!files);
  CHECK(files.error().front().code == "template-missing");
}

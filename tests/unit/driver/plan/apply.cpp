#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "morgana/driver/plan.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::test::scratch_folder;
namespace fs = std::filesystem;

namespace {

std::string read(fs::path const& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("applying a plan writes its files, and a second time touches none") {
  scratch_folder const here;
  build_plan plan;
  plan.files = {{.path = "sub/main.gen.cpp", .text = "int x;\n"}};
  auto const build = here.path() / "build" / "unix";
  CHECK(actions(plan, build)[0] == "write " + (build / "sub/main.gen.cpp").string() + ", 7 bytes");
  REQUIRE(apply(plan, build));
  CHECK(read(build / "sub/main.gen.cpp") == "int x;\n");
  CHECK(read(build / "build.ninja") == to_ninja(plan));
  CHECK(fs::exists(build / "compile_commands.json"));

  auto const old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(build / "sub/main.gen.cpp", old);
  REQUIRE(apply(plan, build));
  CHECK(fs::last_write_time(build / "sub/main.gen.cpp") == old);
  CHECK(actions(plan, build)[0] == "unchanged " + (build / "sub/main.gen.cpp").string());
}

TEST_CASE("a changed file of the same length is written again") {
  scratch_folder const here;
  build_plan plan;
  plan.files = {{.path = "a", .text = "one"}};
  REQUIRE(apply(plan, here.path()));
  plan.files[0].text = "two";
  REQUIRE(apply(plan, here.path()));
  CHECK(read(here.path() / "a") == "two");
}

TEST_CASE("a link points at its folder and follows a change") {
  scratch_folder const here;
  build_plan plan;
  plan.files = {{.path = "app", .text = "/one", .what = plan_file::kind::link}};
  REQUIRE(apply(plan, here.path()));
  CHECK(fs::read_symlink(here.path() / "app") == "/one");
  plan.files[0].text = "/two";
  REQUIRE(apply(plan, here.path()));
  CHECK(fs::read_symlink(here.path() / "app") == "/two");
}

TEST_CASE("compile_commands.json goes where the plan says") {
  scratch_folder const here;
  build_plan plan;
  plan.compile_commands_path = "../compile_commands.json";
  REQUIRE(apply(plan, here.path() / "unix"));
  CHECK(fs::exists(here.path() / "compile_commands.json"));
}

TEST_CASE("what cannot be written is one diagnostic that names the file") {
  scratch_folder const here;
  std::ofstream(here.path() / "file") << "in the way";
  build_plan plan;
  plan.files = {{.path = "a", .text = "one"}};
  auto const result = apply(plan, here.path() / "file");
  REQUIRE(!result);
  CHECK(result.error().size() == 1);
  CHECK(result.error()[0].code == "write-failed");
  CHECK(result.error()[0].message.find((here.path() / "file" / "a").string()) != std::string::npos);
}

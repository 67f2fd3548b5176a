#include <catch2/catch.hpp>
#include <fstream>

#include "morgana/driver/codegen.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::test::scratch_folder;
namespace fs = std::filesystem;

TEST_CASE("keys are sorted bytewise, whatever folders they are in") {
  scratch_folder const here;
  for (auto const* name : {"b", "a/z", "a.html", "a/b/c", "ä", ".hidden", "saved~"}) here.write(name, "x");
  auto const folder = read_embedded_folder(here.path());
  REQUIRE(folder);
  std::vector<std::string> keys;
  for (auto const& file : folder->files) keys.push_back(file.key);
  CHECK(keys == std::vector<std::string>{"a.html", "a/b/c", "a/z", "b", "ä"});
  // The folders themselves, so that a file that comes or goes is noticed.
  CHECK(std::ranges::count(folder->dependencies, (here.path() / "a").string()) == 1);
}

TEST_CASE("equal contents have equal hashes, and an empty file has no array") {
  scratch_folder const here;
  here.write("one", "same");
  here.write("two", "same");
  here.write("three", "other");
  here.write("zero", "");
  auto const folder = read_embedded_folder(here.path());
  REQUIRE(folder);
  auto const& files = folder->files;
  REQUIRE(files.size() == 4);
  CHECK(files[0].content_hash == files[2].content_hash);
  CHECK(files[0].content_hash != files[1].content_hash);
  auto const source = embed_source("embedded_x", *folder);
  CHECK(source.find("{.key = \"zero\", .bytes = nullptr,") != std::string::npos);
  CHECK(source.find("file_3") == std::string::npos);
  CHECK(source.find("#embed \"" + (here.path() / "two").string() + "\"") != std::string::npos);
}

TEST_CASE("a link is left out: it could lead anywhere") {
  scratch_folder const here;
  here.write("one", "1");
  fs::create_symlink("/etc", here.path() / "etc");
  fs::create_symlink("/etc/passwd", here.path() / "passwd");
  auto const folder = read_embedded_folder(here.path());
  REQUIRE(folder);
  CHECK(folder->files.size() == 1);
}

TEST_CASE("a name that cannot be a key is refused, and so is a folder that is not there") {
  scratch_folder const here;
  here.write("quo\"te", "1");
  auto const folder = read_embedded_folder(here.path());
  REQUIRE(!folder);
  CHECK(folder.error()[0].code == "invalid-key");
  CHECK(read_embedded_folder(here.path() / "nothing").error()[0].code == "no-folder");
}

TEST_CASE("an empty folder is an empty table") {
  CHECK(embed_source("embedded_x", {}).find("constinit embedded_table const embedded_x{{}};") !=
        std::string::npos);
}

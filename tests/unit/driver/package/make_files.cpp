#include "driver/package/fetch.hpp"
#include "support.hpp"

using namespace package_test;
using morgana::driver::package_detail::make_files;

namespace {

struct tree {
  tree() {
    what.file = folder / "recipes/tiny.toml";
    write(root / "include/a.h", "a\n");
    write(root / "include/bits/b.h.in", "b\n");
    write(root / "include/bits/c.h", "generic\n");
    write(root / "arch/bits/c.h", "arch\n");
  }
  recipe_file& add(recipe_file::way how, std::string to, std::vector<std::string> from = {}) {
    recipe_file file;
    file.how = how;
    file.to = std::move(to);
    file.from = std::move(from);
    return what.files.emplace_back(std::move(file));
  }
  void make() { good(make_files(what, root)); }

  scratch_folder folder;
  fs::path root = folder / "tree";
  recipe what = package("tiny", "1");
};

using way = recipe_file::way;

}  // namespace

TEST_CASE("files are texts, files beside the recipe, copies and edits, made in their order") {
  tree here;
  write(here.folder / "recipes/own/x.h", "own\n");
  here.add(way::text, "made/version.h").text = "#define VERSION 1\n";
  here.add(way::own, "include/x.h", {"own/x.h"});
  here.add(way::copy, "sysroot", {"include"}).exclude = {"**/*.in"};
  here.add(way::copy, "sysroot/bits", {"arch/bits"});
  here.add(way::copy, "sysroot/one.h", {"include/a.h"});
  here.add(way::edit, "sysroot/bits/b.h", {"include/bits/b.h.in", "include/a.h"}).text = "s/^b$/B/";
  here.make();
  CHECK(read(here.root / "made/version.h") == "#define VERSION 1\n");
  CHECK(read(here.root / "sysroot/x.h") == "own\n");
  CHECK(read(here.root / "sysroot/a.h") == "a\n");
  CHECK_FALSE(fs::exists(here.root / "sysroot/bits/b.h.in"));
  CHECK(read(here.root / "sysroot/bits/c.h") == "arch\n");
  CHECK(read(here.root / "sysroot/one.h") == "a\n");
  CHECK(read(here.root / "sysroot/bits/b.h") == "B\na\n");
}

TEST_CASE("a script may be a file of the source, and edit in place") {
  tree here;
  write(here.root / "tools/make.sed", "s/a/A/\n");
  here.add(way::edit, "include/a.h", {"include/a.h"}).script = "tools/make.sed";
  here.make();
  CHECK(read(here.root / "include/a.h") == "A\n");
}

TEST_CASE("an edit that changes nothing is an error: the source is not the one it was made for") {
  tree here;
  here.add(way::edit, "include/a.h", {"include/a.h"}).text = "s/hlt/ud2/";
  auto const error = error_of(make_files(here.what, here.root));
  CHECK(error.code == "patch-failed");
  CHECK(error.message == "cannot make `include/a.h` of package `tiny` 1: the script changes nothing");
}

TEST_CASE("a script neither runs a program nor touches another file") {
  tree here;
  here.add(way::edit, "include/a.h", {"include/a.h"}).text = "w other";
  auto const error = error_of(make_files(here.what, here.root));
  CHECK(error.code == "patch-failed");
  CHECK(error.message.find("sed said: ") != std::string::npos);
  CHECK_FALSE(fs::exists(here.root / "other"));
}

TEST_CASE("a copy of what is not there is an error") {
  tree here;
  here.add(way::copy, "sysroot", {"incl"});
  CHECK(error_of(make_files(here.what, here.root)).message ==
        "cannot make `sysroot` of package `tiny` 1: the source has no `incl`");
}

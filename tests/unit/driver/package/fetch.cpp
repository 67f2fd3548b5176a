#include "driver/package/fetch.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "driver/package/glob.hpp"
#include "driver/package/sha256.hpp"
#include "support.hpp"

using namespace package_test;
using morgana::driver::package_detail::expand_globs;
using morgana::driver::package_detail::needed_members;
using morgana::driver::package_detail::pool_urls;
using morgana::driver::package_detail::sha256_of;
using morgana::driver::package_detail::sha256_of_file;

namespace {

void shell(std::string const& command) {
  INFO(command);
  REQUIRE(std::system(("( " + command + " ) >/dev/null 2>&1").c_str()) == 0);
}

// A Debian mirror in a folder, and an apt that knows no other.
class mirror {
 public:
  mirror() {
    write(folder_ / "apt/sources.list", "deb [trusted=yes] copy:" + (folder_ / "first").string() +
                                            " stable main\ndeb [trusted=yes] copy:" +
                                            (folder_ / "security").string() + " stable-security main\n");
    write(folder_ / "apt/apt.conf", "Dir::Etc::sourcelist \"" + (folder_ / "apt/sources.list").string() +
                                        "\";\nDir::Etc::sourceparts \"/dev/null\";\n");
    ::setenv("APT_CONFIG", (folder_ / "apt/apt.conf").c_str(), 1);
  }
  ~mirror() { ::unsetenv("APT_CONFIG"); }
  mirror(mirror const&) = delete;
  mirror& operator=(mirror const&) = delete;

  // Puts an archive of a source tree where a mirror has it; its hash.
  std::string add(std::string const& place) {
    write(folder_ / "make/tiny-1/src/tiny.c", "#include \"tiny.h\"\nint tiny(void) { return TINY; }\n");
    write(folder_ / "make/tiny-1/src/tiny.h", "#define TINY 1\n");
    write(folder_ / "make/tiny-1/doc/long.txt", "not needed\n");
    fs::create_directories((folder_ / place).parent_path());
    shell("tar --directory '" + (folder_ / "make").string() + "' --create --gzip --file '" +
          (folder_ / place).string() + "' tiny-1");
    return sha256_of_file(folder_ / place).value();
  }
  [[nodiscard]] package_cache cache(std::string_view name = "cache") const { return {folder_ / name, false}; }
  [[nodiscard]] fs::path operator/(std::string_view name) const { return folder_ / name; }

 private:
  scratch_folder folder_;
};

recipe tiny(std::string const& sha256) {
  auto result = package("tiny", "1");
  result.source = apt_source{"tiny", "1-1", "tiny_1.orig.tar.gz", sha256};
  result.sources = {"src/*.c"};
  result.export_include = {"src"};
  return result;
}

std::vector<chosen_package> chosen(recipe const& what) {
  return {{what, "morgana", {}, {}}};
}

bool mentions(diagnostic const& one, std::string_view what) {
  return std::ranges::any_of(one.notes,
                             [&](auto const& note) { return note.message.find(what) != std::string::npos; });
}

constexpr char const* pool = "first/pool/main/t/tiny/tiny_1.orig.tar.gz";

}  // namespace

TEST_CASE("a source package's file is looked for in every pool of every mirror") {
  CHECK(pool_urls({"http://a/debian", "http://a/debian-security"}, "h2o", "h2o_2.tar.xz") ==
        std::vector<std::string>{"http://a/debian/pool/main/h/h2o/h2o_2.tar.xz",
                                 "http://a/debian-security/pool/main/h/h2o/h2o_2.tar.xz",
                                 "http://a/debian/pool/updates/main/h/h2o/h2o_2.tar.xz",
                                 "http://a/debian-security/pool/updates/main/h/h2o/h2o_2.tar.xz"});
  CHECK(pool_urls({"x:"}, "libsolv", "f")[0] == "x:/pool/main/libs/libsolv/f");
  CHECK(pool_urls({"x:"}, "lib", "f")[0] == "x:/pool/main/l/lib/f");
}

TEST_CASE("only the folders that a recipe names are unpacked") {
  auto what = tiny(std::string(64, '0'));
  what.sources = {"deps/a/src/*.c", "deps/a/src/more/*.c"};
  what.include = {"deps/a/include"};
  what.export_include = {"deps/a/include/public"};
  CHECK(needed_members(what) == std::vector<std::string>{"deps/a/include", "deps/a/src"});
  SECTION("everything when a glob begins at the root") {
    what.sources.push_back("*.c");
    CHECK(needed_members(what).empty());
  }
  SECTION("everything when there are patches") {
    what.patches = {"x.patch"};
    CHECK(needed_members(what).empty());
  }
}

TEST_CASE("a package is fetched from apt's mirror, once, and is there offline then") {
  mirror from;
  auto const hash = from.add(pool);
  auto packages = chosen(tiny(hash));
  auto cache = from.cache();
  good(fetch(packages, {}, cache, quiet()));
  CHECK(packages[0].source_sha256 == hash);
  CHECK(fs::exists(packages[0].source / "src/tiny.c"));
  CHECK_FALSE(fs::exists(packages[0].source / "doc"));
  CHECK(source_includes(packages) == std::vector<fs::path>{packages[0].source / "src"});

  fs::remove_all(from / "first");
  cache.offline = true;
  auto again = chosen(tiny(hash));
  good(fetch(again, {}, cache, quiet()));
  CHECK(again[0].source == packages[0].source);
  SECTION("also when only the archive is left") {
    fs::remove_all(from / "cache/trees");
    good(fetch(again, {}, cache, quiet()));
  }
  SECTION("but not when the archive is damaged") {
    fs::remove_all(from / "cache/trees");
    write(from / ("cache/sources/" + hash), "damaged");
    CHECK(error_of(fetch(again, {}, cache, quiet())).code == "offline");
  }
}

TEST_CASE("the security archive is asked where the first mirror has nothing") {
  mirror from;
  auto const hash = from.add("security/pool/updates/main/t/tiny/tiny_1.orig.tar.gz");
  auto packages = chosen(tiny(hash));
  good(fetch(packages, {}, from.cache(), quiet()));
}

TEST_CASE("a file that no mirror has is told with all that was tried") {
  mirror from;
  auto packages = chosen(tiny(std::string(64, '0')));
  auto const error = error_of(fetch(packages, {}, from.cache(), quiet()));
  CHECK(error.code == "fetch-failed");
  CHECK(error.notes.size() == 4);
  CHECK(mentions(error, "first/pool/main/t/tiny/tiny_1.orig.tar.gz"));
  CHECK(mentions(error, "No such file"));
  CHECK(error.help.at(0).find(std::string(64, '0')) != std::string::npos);
}

TEST_CASE("a file with another hash is refused with both hashes") {
  mirror from;
  auto const hash = from.add(pool);
  auto packages = chosen(tiny(std::string(64, '0')));
  auto const error = error_of(fetch(packages, {}, from.cache(), quiet()));
  CHECK(error.code == "hash-mismatch");
  CHECK(mentions(error, hash));
  CHECK(mentions(error, std::string(64, '0')));
  CHECK(fs::is_empty(from / "cache/sources"));
}

TEST_CASE("offline, a source that is not in the cache is an error of its own") {
  mirror from;
  auto packages = chosen(tiny(std::string(64, '0')));
  auto cache = from.cache();
  cache.offline = true;
  CHECK(error_of(fetch(packages, {}, cache, quiet())).code == "offline");
}

TEST_CASE("a version whose content is not what was locked is refused") {
  mirror from;
  auto const hash = from.add(pool);
  lock_file lock;
  lock.packages["tiny"] = {"tiny", "1", "morgana", std::string(64, '1'), {}, {}};
  auto packages = chosen(tiny(hash));
  auto const error = error_of(fetch(packages, lock, from.cache(), quiet()));
  CHECK(error.code == "lock-mismatch");
  CHECK(mentions(error, hash));
  CHECK(error.help.at(0).find("morgana update tiny") != std::string::npos);
  SECTION("another version than the locked one is another matter") {
    lock.packages["tiny"].version = "0.9";
    good(fetch(packages, lock, from.cache(), quiet()));
  }
}

TEST_CASE("patches are applied, and one that does not apply is told") {
  mirror from;
  auto what = tiny(from.add(pool));
  what.file = from / "recipes/tiny.toml";
  what.patches = {"two.patch"};
  what.beside_sha256 = "with patch";
  write(from / "recipes/two.patch",
        "--- a/src/tiny.h\n+++ b/src/tiny.h\n@@ -1 +1 @@\n-#define TINY 1\n+#define TINY 2\n");
  auto packages = chosen(what);
  good(fetch(packages, {}, from.cache(), quiet()));
  CHECK(read(packages[0].source / "src/tiny.h") == "#define TINY 2\n");

  write(from / "recipes/two.patch",
        "--- a/src/tiny.h\n+++ b/src/tiny.h\n@@ -1 +1 @@\n-#define TINY 7\n+#define TINY 2\n");
  packages[0].what.beside_sha256 = "with another patch";
  auto const error = error_of(fetch(packages, {}, from.cache(), quiet()));
  CHECK(error.code == "patch-failed");
  CHECK(mentions(error, "FAILED"));
}

TEST_CASE("an exported folder that the source lacks is an error of the recipe") {
  mirror from;
  auto what = tiny(from.add(pool));
  what.export_include = {"include"};
  auto packages = chosen(what);
  CHECK(error_of(fetch(packages, {}, from.cache(), quiet())).code == "wrong-value");
}

TEST_CASE("a path source is used in place and its hash is that of its content") {
  scratch_folder folder;
  package_cache const cache{folder / "cache", false};
  write(folder / "src/core/a.cpp", "int a;\n");
  write(folder / "src/core/a.hpp", "int b;\n");
  write(folder / "src/core/a.cpp.orig", "not part of it");
  write(folder / "src/include/x/y.hpp", "int c;\n");
  write(folder / "src/other/z.cpp", "int d;\n");
  auto what = package("core", "1");
  what.source = path_source{folder / "src"};
  what.sources = {"core/*.cpp"};
  what.export_include = {"include"};
  auto const hash = [&] {
    auto packages = chosen(what);
    good(fetch(packages, {}, cache, quiet()));
    CHECK(packages[0].source == folder / "src");
    return packages[0].source_sha256;
  };
  auto const before = hash();
  CHECK(hash() == before);
  SECTION("other packages' files do not count") {
    write(folder / "src/other/z.cpp", "int dd;\n");
    write(folder / "src/core/.a.cpp.swp", "editor");
    write(folder / "src/include/y.hpp~", "editor");
    CHECK(hash() == before);
  }
  SECTION("a source does") {
    write(folder / "src/core/a.cpp", "int A;\n");
    CHECK(hash() != before);
  }
  SECTION("a header beside it does") {
    write(folder / "src/core/a.hpp", "int B;\n");
    CHECK(hash() != before);
  }
  SECTION("an exported header does") {
    write(folder / "src/include/x/y.hpp", "int C;\n");
    CHECK(hash() != before);
  }
  SECTION("a new source does") {
    write(folder / "src/core/b.cpp", "int e;\n");
    CHECK(hash() != before);
  }
  SECTION("a change that keeps size and modification time does") {
    // Long enough ago that the hash is remembered.
    auto const file = folder / "src/core/a.cpp";
    timespec const old[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), old, 0) == 0);
    CHECK(hash() == before);
    write(file, "int B;\n");
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), old, 0) == 0);
    CHECK(hash() != before);
  }
  SECTION("the place of the folder does not") {
    fs::rename(folder / "src", folder / "moved");
    what.source = path_source{folder / "moved"};
    auto packages = chosen(what);
    good(fetch(packages, {}, cache, quiet()));
    CHECK(packages[0].source_sha256 == before);
  }
}

TEST_CASE("a git revision is exported once and is there offline then") {
  scratch_folder folder;
  auto const repository = folder / "repo";
  auto const git = [&](std::string const& arguments) {
    shell("cd '" + repository.string() + "' && git -c user.name=t -c user.email=t@example.invalid " +
          arguments);
  };
  write(repository / "src/x.c", "int x;\n");
  git("init -q . && git add . && git -c user.name=t -c user.email=t@example.invalid commit -q -m one");
  shell("git -C '" + repository.string() + "' rev-parse HEAD > '" + (folder / "revision").string() + "'");
  auto const revision = read(folder / "revision").substr(0, 40);
  write(repository / "src/x.c", "int y;\n");
  git("commit -q -a -m two");

  auto what = package("x", "1");
  what.source = git_source{repository.string(), revision};
  what.sources = {"src/*.c"};
  package_cache cache{folder / "cache", false};
  auto packages = chosen(what);
  good(fetch(packages, {}, cache, quiet()));
  CHECK(read(packages[0].source / "src/x.c") == "int x;\n");
  CHECK(packages[0].source_sha256.size() == 64);

  fs::remove_all(repository);
  cache.offline = true;
  auto again = chosen(what);
  good(fetch(again, {}, cache, quiet()));
  CHECK(again[0].source_sha256 == packages[0].source_sha256);

  SECTION("a lock with another hash is refused") {
    lock_file lock;
    lock.packages["x"] = {"x", "1", "morgana", std::string(64, '1'), {}, {}};
    CHECK(error_of(fetch(again, lock, cache, quiet())).code == "lock-mismatch");
  }
  SECTION("another revision is not there offline, and nowhere else either") {
    what.source = git_source{repository.string(), std::string(40, 'a')};
    auto missing = chosen(what);
    CHECK(error_of(fetch(missing, {}, cache, quiet())).code == "offline");
    cache.offline = false;
    CHECK(error_of(fetch(missing, {}, cache, quiet())).code == "fetch-failed");
  }
}

TEST_CASE("globs stay within components, but for **") {
  scratch_folder folder;
  for (auto const* name : {"a.c", "b.cpp", ".hidden.c", "d/c.c", "d/e/f.c", "d/e/g.h", "x/e/h.c"})
    write(folder / name, "");
  using list = std::vector<std::string>;
  CHECK(expand_globs(folder.path(), {"*.c"}) == list{"a.c"});
  CHECK(expand_globs(folder.path(), {"**/*.c"}) == list{"a.c", "d/c.c", "d/e/f.c", "x/e/h.c"});
  CHECK(expand_globs(folder.path(), {"d/**"}) == list{"d/c.c", "d/e/f.c", "d/e/g.h"});
  CHECK(expand_globs(folder.path(), {"*/e/?.[ch]", "a.c", "a.c"}) ==
        list{"a.c", "d/e/f.c", "d/e/g.h", "x/e/h.c"});
  CHECK(expand_globs(folder.path(), {"nothing/*.c", "../*", "d"}).empty());
}

#include "morgana/driver/lock.hpp"

#include <catch2/catch.hpp>

using namespace morgana::driver;

namespace {

lock_file example() {
  lock_file lock;
  lock.toolchain = {{"lld", "22.1.8"}, {"clang", "22.1.8"}};
  lock.packages["llhttp"] = {"llhttp", "9.2.1", "morgana", std::string(64, 'a'), std::string(64, 'b'), {}};
  lock.packages["morgana-http"] = {"morgana-http",       "0.1",
                                   "morgana@0123",       std::string(64, 'c'),
                                   std::string(64, 'd'), {"llhttp", "morgana-core"}};
  lock.targets["unix"] = {{{"htdocs", "embedded"}, {"network", "socket"}}, {"llhttp", "morgana-http"}};
  lock.targets["xen-x86_64"] = {{{"network", "direct"}}, {}};
  return lock;
}

std::string code_of(std::string_view text) {
  auto const read = parse_lock(text, "morgana.lock");
  REQUIRE_FALSE(read);
  REQUIRE(read.error().size() == 1);
  return read.error().front().code;
}

}  // namespace

TEST_CASE("a lock file is read back as it was written") {
  auto const lock = example();
  auto const text = format_lock(lock);
  auto const read = parse_lock(text, "morgana.lock");
  REQUIRE(read);
  CHECK(*read == lock);
  CHECK(format_lock(*read) == text);
}

TEST_CASE("an empty lock is a lock") {
  auto const read = parse_lock(format_lock({}), "morgana.lock");
  REQUIRE(read);
  CHECK(*read == lock_file{});
}

TEST_CASE("a lock file has one fact a line, sorted") {
  CHECK(format_lock(example()) ==
        R"(# Written by morgana; commit it. `morgana update [PACKAGE]` moves versions.
schema = 1

[toolchain]
clang = "22.1.8"
lld = "22.1.8"

[[package]]
name = "llhttp"
version = "9.2.1"
origin = "morgana"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
recipe_sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

[[package]]
name = "morgana-http"
version = "0.1"
origin = "morgana@0123"
sha256 = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
recipe_sha256 = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
requires = [
  "llhttp",
  "morgana-core",
]

[target.unix]
nodes = [
  "htdocs = embedded",
  "network = socket",
]
packages = [
  "llhttp",
  "morgana-http",
]

[target.xen-x86_64]
nodes = [
  "network = direct",
]
)");
}

TEST_CASE("texts with quotes, control characters and odd target names survive a lock file") {
  auto lock = example();
  lock.packages["llhttp"].origin = "a \"b\"\\c\td\x7f";
  lock.targets["odd name.1"] = {{{"a", "b = c"}}, {"llhttp"}};
  lock.toolchain["x y"] = "1";
  auto const read = parse_lock(format_lock(lock), "morgana.lock");
  REQUIRE(read);
  CHECK(*read == lock);
}

TEST_CASE("a lock of a newer tool says so with both numbers") {
  auto const read = parse_lock("schema = 7\n[new]\nx = 1\n", "morgana.lock");
  REQUIRE_FALSE(read);
  REQUIRE(read.error().size() == 1);
  CHECK(read.error()[0].code == "lock-schema");
  CHECK(read.error()[0].message.find('7') != std::string::npos);
  CHECK(read.error()[0].message.find('1') != std::string::npos);
}

TEST_CASE("a lock with a merge conflict is named as one") {
  auto const read = parse_lock("schema = 1\n<<<<<<< HEAD\n", "morgana.lock");
  REQUIRE_FALSE(read);
  CHECK(read.error()[0].message == "the lock file has a merge conflict");
  CHECK(read.error()[0].where->line == 2);
}

TEST_CASE("a lock is read strictly") {
  CHECK(code_of("schema = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\nvresion = \"1\"\n") ==
        "unknown-name");
  CHECK(code_of("schema = 1\n[[package]]\nname = \"a\"\n") == "missing-name");
  CHECK(code_of("schema = 1\n[target.unix]\nnodes = [\"network socket\"]\n") == "wrong-value");
  CHECK(code_of("schema = 1\n[target.unix]\nnodes = [\"a = b\", \"a = c\"]\n") == "wrong-value");
  CHECK(code_of("schema = 1\n[[package]]\nname = \"a\"\nversion = \"1\"\n[[package]]\nname = \"a\"\nversion "
                "= \"2\"\n") == "wrong-value");
  CHECK(code_of("schema = \n") == "wrong-toml");
}

TEST_CASE("changes of a lock are told one a line") {
  auto const before = example();
  auto after = before;
  CHECK(lock_changes(before, after).empty());
  after.toolchain["lld"] = "23";
  after.packages["llhttp"].version = "9.3";
  after.packages["llhttp"].sha256 = std::string(64, 'e');
  after.packages.erase("morgana-http");
  after.packages["zlib"] = {"zlib", "1.3", "overlay", {}, {}, {}};
  after.targets["unix"].nodes["network"] = "direct";
  after.targets["unix"].packages = {"llhttp", "zlib"};
  after.targets.erase("xen-x86_64");
  CHECK(lock_changes(before, after) == std::vector<std::string>{
                                           "toolchain lld: 22.1.8 → 23",
                                           "package llhttp: 9.2.1 → 9.3",
                                           "package llhttp: source aaaaaaaaaaaa → eeeeeeeeeeee",
                                           "package morgana-http: 0.1 removed",
                                           "package zlib: 1.3 (new)",
                                           "target unix node network: socket → direct",
                                           "target unix: uses package zlib",
                                           "target unix: no longer uses package morgana-http",
                                           "target xen-x86_64: removed",
                                       });
}

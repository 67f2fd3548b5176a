#include "support.hpp"

using namespace package_test;

namespace {

std::string names_of(std::vector<chosen_package> const& packages) {
  std::string text;
  for (auto const& one : packages)
    text += (text.empty() ? "" : " ") + one.what.name.value + "-" + one.what.version;
  return text;
}

std::vector<located_string> texts(std::vector<std::string> const& values) {
  std::vector<located_string> result;
  for (auto const& one : values) result.push_back(text(one, static_cast<std::uint32_t>(result.size() + 1)));
  return result;
}

std::string solved(std::vector<repository> const& from, std::vector<std::string> const& wanted,
                   lock_file const& locked = {}, std::string_view target = "unix") {
  return names_of(value_of(solve(from, texts(wanted), locked, target)));
}

lock_file locking(std::string const& name, std::string const& version,
                  std::string const& origin = "morgana") {
  lock_file lock;
  lock.packages[name] = {name, version, origin, {}, {}, {}};
  return lock;
}

bool mentions(diagnostic const& one, std::string_view what) {
  if (one.message.find(what) != std::string::npos) return true;
  for (auto const& note : one.notes) {
    if (note.message.find(what) != std::string::npos) return true;
  }
  for (auto const& help : one.help) {
    if (help.find(what) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("versions compare as Debian's do") {
  CHECK(compare_versions("1.0", "1.0") == 0);
  CHECK(compare_versions("1.9", "1.10") < 0);
  CHECK(compare_versions("1.0~rc1", "1.0") < 0);
  CHECK(compare_versions("1:0.5", "2.0") > 0);
  CHECK(compare_versions("1.0-1", "1.0-2") < 0);
  CHECK(compare_versions("0+h2o2.2.5", "0") > 0);
  CHECK(compare_versions("1.0a", "1.0+") < 0);
  CHECK(compare_versions("007", "7") == 0);
}

TEST_CASE("the newest version that fits is chosen, dependencies first") {
  std::vector<repository> const from = {
      {"morgana",
       {},
       {},
       {package("a", "1.0", {"b >= 1.5", "c"}), package("b", "1.10"), package("b", "1.9"),
        package("c", "2", {"b < 2"}), package("unused", "1")}}};
  CHECK(solved(from, {"a"}) == "b-1.10 c-2 a-1.0");
  CHECK(solved(from, {"a", "b < 1.10"}) == "b-1.9 c-2 a-1.0");
  CHECK(solved(from, {"b = 1.9"}) == "b-1.9");
  CHECK(solved(from, {}).empty());
}

TEST_CASE("what is locked wins over what is newer") {
  std::vector<repository> const from = {
      {"morgana",
       {},
       {},
       {package("a", "1", {"b"}), package("b", "1"), package("b", "2"), package("b", "3")}}};
  CHECK(solved(from, {"a"}, locking("b", "2")) == "b-2 a-1");
  CHECK(solved(from, {"a"}, locking("b", "1")) == "b-1 a-1");
  SECTION("unless a requirement excludes it") {
    CHECK(solved(from, {"a", "b > 2"}, locking("b", "2")) == "b-3 a-1");
  }
  SECTION("or it is no longer there") {
    CHECK(solved(from, {"a"}, locking("b", "1.5")) == "b-3 a-1");
  }
  SECTION("and its lock entry removed, the package moves") {
    CHECK(solved(from, {"a"}, {}) == "b-3 a-1");
  }
}

TEST_CASE("a locked package moves when it alone stands in the way") {
  std::vector<repository> const from = {
      {"morgana",
       {},
       {},
       {package("a", "1", {"b < 2"}), package("a", "2", {"b >= 2"}), package("b", "1"), package("b", "2"),
        package("c", "1"), package("c", "2")}}};
  auto lock = locking("a", "1");
  lock.packages["b"] = {"b", "1", "morgana", {}, {}, {}};
  lock.packages["c"] = {"c", "1", "morgana", {}, {}, {}};
  CHECK(solved(from, {"a", "c"}, lock) == "b-1 a-1 c-1");
  CHECK(solved(from, {"a", "c", "b >= 2"}, lock) == "b-2 a-2 c-1");
}

TEST_CASE("the newest version wins over all repositories, the earlier repository among equal ones") {
  std::vector<repository> const from = {{"overlay", {}, {}, {package("a", "1"), package("b", "2")}},
                                        {"morgana", {}, "0123abc", {package("a", "2"), package("b", "2")}}};
  auto const chosen = value_of(solve(from, texts({"a", "b"}), {}, "unix"));
  CHECK(names_of(chosen) == "a-2 b-2");
  CHECK(chosen[0].origin == "morgana@0123abc");
  CHECK(chosen[1].origin == "overlay");
  SECTION("but the repository that the lock names keeps its package") {
    auto const kept = value_of(solve(from, texts({"b"}), locking("b", "2", "morgana@old"), "unix"));
    CHECK(kept[0].origin == "morgana@0123abc");
  }
}

TEST_CASE("the order of repositories' recipes does not change the result") {
  std::vector<recipe> recipes = {package("a", "1", {"z", "m"}), package("m", "1", {"b"}),
                                 package("z", "1", {"b"}), package("b", "1"), package("b", "2")};
  auto const expected = solved({{"morgana", {}, {}, recipes}}, {"z", "a"});
  CHECK(expected == "b-2 m-1 z-1 a-1");
  std::ranges::sort(recipes, {}, [](recipe const& one) { return one.name.value + one.version; });
  do {
    CHECK(solved({{"morgana", {}, {}, recipes}}, {"a", "z"}) == expected);
  } while (std::ranges::next_permutation(recipes, {}, [](recipe const& one) {
             return one.name.value + one.version;
           }).found);
}

TEST_CASE("an unknown package names the nearest and where was looked") {
  std::vector<repository> const from = {{"overlay", "/o", {}, {package("zlib", "1")}},
                                        {"morgana", "/m", {}, {}}};
  auto const error = error_of(solve(from, texts({"zlob"}), {}, "unix"));
  CHECK(error.code == "unknown-package");
  CHECK(error.where->line == 1);
  CHECK(mentions(error, "did you mean `zlib`?"));
  CHECK(mentions(error, "`overlay` (/o)"));
  CHECK(mentions(error, "`morgana` (/m)"));
}

TEST_CASE("a package that another requires, but nobody has, is told at the recipe") {
  std::vector<repository> const from = {{"morgana", {}, {}, {package("a", "1", {"gone"})}}};
  auto const error = error_of(solve(from, texts({"a"}), {}, "unix"));
  CHECK(error.code == "unknown-package");
  CHECK(error.message == "no repository has a package `gone`");
  CHECK(error.where->file == "a.toml");
  CHECK(error.where->line == 4);
}

TEST_CASE("a version whose dependency is not there is passed over") {
  std::vector<repository> const from = {
      {"morgana", {}, {}, {package("a", "1"), package("a", "2", {"gone"})}}};
  CHECK(solved(from, {"a"}) == "a-1");
}

TEST_CASE("a package for another target names the targets it is for") {
  std::vector<repository> const from = {{"morgana", {}, {}, {package("a", "1", {}, {"xen-*", "sim"})}}};
  CHECK(solved(from, {"a"}, {}, "xen-armv7") == "a-1");
  auto const error = error_of(solve(from, texts({"a"}), {}, "unix"));
  CHECK(error.code == "package-target");
  CHECK(mentions(error, "sim, xen-*"));
}

TEST_CASE("a conflict names both requirements and their places") {
  std::vector<repository> const from = {
      {"morgana", {}, {}, {package("a", "1.0", {"b >= 2"}), package("b", "1"), package("b", "2")}}};
  auto const error = error_of(solve(from, texts({"a", "b = 1"}), {}, "unix"));
  CHECK(error.code == "package-conflict");
  CHECK(error.message == "no version of `b` satisfies all that is required");
  REQUIRE(error.where);
  CHECK(error.where->file == "unikernel.toml");
  CHECK(mentions(error, "the application requires `b = 1`"));
  CHECK(mentions(error, "`a` 1.0 requires `b >= 2`"));
  CHECK(mentions(error, "versions of `b` there are: 2 (morgana), 1 (morgana)"));
  auto const said = std::ranges::find_if(
      error.notes, [](auto const& note) { return note.message == "`a` 1.0 requires `b >= 2`"; });
  REQUIRE(said != error.notes.end());
  CHECK(said->where->file == "a.toml");
}

TEST_CASE("two packages that need different versions of a third conflict") {
  std::vector<repository> const from = {
      {"morgana",
       {},
       {},
       {package("a", "1", {"x = 1"}), package("b", "1", {"x = 2"}), package("x", "1"), package("x", "2")}}};
  auto const error = error_of(solve(from, texts({"a", "b"}), {}, "unix"));
  CHECK(error.code == "package-conflict");
  CHECK(mentions(error, "`a` 1 requires `x = 1`"));
  CHECK(mentions(error, "`b` 1 requires `x = 2`"));
}

TEST_CASE("a version that nobody has is told with those there are") {
  std::vector<repository> const from = {{"morgana", {}, {}, {package("zlib", "1.3")}}};
  auto const error = error_of(solve(from, texts({"zlib >= 9"}), {}, "unix"));
  CHECK(error.code == "package-conflict");
  CHECK(error.message == "no version of `zlib` satisfies `zlib >= 9`");
  CHECK(error.where->line == 1);
  CHECK(mentions(error, "1.3 (morgana)"));
}

TEST_CASE("packages that require each other are an error that shows the circle") {
  std::vector<repository> const from = {
      {"morgana", {}, {}, {package("a", "1", {"b"}), package("b", "1", {"c"}), package("c", "1", {"b"})}}};
  auto const error = error_of(solve(from, texts({"a"}), {}, "unix"));
  CHECK(error.code == "package-conflict");
  CHECK(error.message == "packages require each other: b → c → b");
}

TEST_CASE("requirements are told apart from what is none") {
  CHECK(value_of(parse_requirement(text("zlib"))).name == "zlib");
  auto const one = value_of(parse_requirement(text("  zlib>=1:1.2~rc1-3 ")));
  CHECK(one.name == "zlib");
  CHECK(one.op == package_requirement::relation::greater_equal);
  CHECK(one.version == "1:1.2~rc1-3");
  for (auto const* wrong :
       {"", "Zlib", "zlib ==1", "zlib >=", "zlib 1.2", "zlib ~ 1", "zlib = 1 2", "-x", "a b = 1"}) {
    CAPTURE(wrong);
    CHECK(error_of(parse_requirement(text(wrong))).code == "wrong-value");
  }
}

TEST_CASE("recording packages writes their entries and drops those that nobody uses") {
  lock_file lock;
  lock.packages["old"] = {"old", "1", "morgana", {}, {}, {}};
  lock.targets["unix"] = {{{"network", "socket"}}, {"old"}};
  lock.packages["shared"] = {"shared", "1", "morgana", {}, {}, {}};
  lock.targets["sim"] = {{}, {"shared"}};
  std::vector<chosen_package> const packages = {
      {package("b", "2"), "morgana@1", {}, "source-b"},
      {package("a", "1", {"b >= 1", "b < 9"}), "overlay", {}, "source-a"}};
  record(lock, "unix", packages);
  CHECK(lock.targets["unix"].packages == std::vector<std::string>{"a", "b"});
  CHECK(lock.targets["unix"].nodes.at("network") == "socket");
  CHECK_FALSE(lock.packages.contains("old"));
  CHECK(lock.packages.contains("shared"));
  CHECK(lock.packages["a"] ==
        locked_package{"a", "1", "overlay", "source-a", "recipe-of-a-1", std::vector<std::string>{"b"}});
  SECTION("a repository's newer revision alone changes nothing") {
    auto const before = lock;
    auto again = packages;
    again[0].origin = "morgana@2";
    record(lock, "unix", again);
    CHECK(lock == before);
    again[0].source_sha256 = "other";
    record(lock, "unix", again);
    CHECK(lock.packages["b"].origin == "morgana@2");
  }
}

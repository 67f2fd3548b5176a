#include "support.hpp"

using namespace package_test;

namespace {

constexpr std::string_view good_recipe = R"(schema = 1
name = "picohttpparser"
version = "0+h2o2.2.5"
licence = "MIT"
summary = "HTTP parser"
requires = ["other >= 1.0"]
targets = ["unix", "xen-*"]

[source]
kind = "apt"
package = "h2o"
version = "2.2.5+dfsg2-7"
file = "h2o_2.2.5+dfsg2.orig.tar.xz"
sha256 = "a46894bd85da6528d4ad90ce0443b48118718296175061a1a1156e9e3af60a0d"

[build]
sources = ["deps/picohttpparser/*.c"]
flags = ["-O2"]
c_flags = ["-DA"]
cxx_flags = ["-DB"]
include = ["deps"]

[exports]
include = ["deps/picohttpparser"]
libraries = ["-lm"]
catalogue = "devices.toml"
)";

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(good_recipe);
  auto const at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

diagnostic wrong(std::string_view from, std::string_view to) {
  return error_of(parse_recipe(replaced(from, to), "/r/picohttpparser.toml"));
}

}  // namespace

TEST_CASE("a recipe is read with everything it says") {
  auto const read = value_of(parse_recipe(good_recipe, "/r/picohttpparser.toml"));
  CHECK(read.name.value == "picohttpparser");
  CHECK(read.name.where.line == 2);
  CHECK(read.version == "0+h2o2.2.5");
  CHECK(read.requires_.at(0).value == "other >= 1.0");
  CHECK(read.requires_.at(0).where.line == 6);
  CHECK(read.targets == std::vector<std::string>{"unix", "xen-*"});
  auto const& apt = std::get<apt_source>(read.source);
  CHECK(apt.package == "h2o");
  CHECK(apt.file == "h2o_2.2.5+dfsg2.orig.tar.xz");
  CHECK(read.sources == std::vector<std::string>{"deps/picohttpparser/*.c"});
  CHECK(read.c_flags == std::vector<std::string>{"-DA"});
  CHECK(read.export_libraries == std::vector<std::string>{"-lm"});
  CHECK(read.export_catalogue == "devices.toml");
  CHECK(read.sha256.size() == 64);
}

TEST_CASE("a path source is relative to the recipe") {
  auto const read =
      value_of(parse_recipe("schema = 1\nname = \"a\"\nversion = \"1\"\nlicence = \"ISC\"\n[source]\nkind = "
                            "\"path\"\npath = \"../runtime\"\n",
                            "/r/packages/a.toml"));
  CHECK(std::get<path_source>(read.source).path == "/r/runtime");
  CHECK(read.targets == std::vector<std::string>{"*"});
}

TEST_CASE("recipes are read strictly") {
  CHECK(wrong("flags = [\"-O2\"]", "flgas = [\"-O2\"]").code == "unknown-name");
  CHECK(wrong("licence = \"MIT\"\n", "").code == "missing-name");
  CHECK(wrong("\"0+h2o2.2.5\"", "\"0 1\"").code == "wrong-value");
  CHECK(wrong("\"picohttpparser\"", "\"Pico\"").code == "wrong-value");
  CHECK(wrong("other >= 1.0", "other => 1.0").code == "wrong-value");
  CHECK(wrong("a46894", "A46894").code == "wrong-value");
  CHECK(wrong("kind = \"apt\"", "kind = \"atp\"").code == "wrong-value");
  CHECK(wrong("\"h2o\"", "\"../h2o\"").code == "wrong-value");
  CHECK(wrong("h2o_2.2.5+dfsg2.orig.tar.xz", "../h2o.tar").code == "wrong-value");
  CHECK(wrong("sources = [\"deps", "sources = [\"../deps").code == "wrong-value");
  CHECK(wrong("picohttpparser/*.c", "picohttpparser/*.rs").code == "wrong-value");
  CHECK(wrong("catalogue = \"devices.toml\"", "catalogue = \"/etc/passwd\"").code == "wrong-value");
  CHECK(wrong("schema = 1", "schema = 2").code == "recipe-schema");
  CHECK(wrong("schema = 1", "schema = ").code == "wrong-toml");
}

TEST_CASE("an address that would make git run a command is refused") {
  auto const with = [](std::string const& url) {
    return "schema = 1\nname = \"a\"\nversion = \"1\"\nlicence = \"ISC\"\n[source]\nkind = \"git\"\nurl = "
           "\"" +
           url + "\"\nrevision = \"" + std::string(40, 'a') + "\"\n";
  };
  CHECK(error_of(parse_recipe(with("ext::sh -c true"), "/r/a.toml")).code == "wrong-value");
  CHECK(error_of(parse_recipe(with("ext://x"), "/r/a.toml")).code == "wrong-value");
  CHECK(error_of(parse_recipe(with("--upload-pack=x"), "/r/a.toml")).code == "wrong-value");
  CHECK(std::get<git_source>(value_of(parse_recipe(with("../x.git"), "/r/a.toml")).source).url == "/x.git");
}

TEST_CASE("a recipe's hash covers its patches") {
  scratch_folder folder;
  auto const text = replaced("flags = [\"-O2\"]", "flags = [\"-O2\"]\npatches = [\"fix.patch\"]");
  write(folder / "picohttpparser.toml", text);
  CHECK(error_of(read_recipe(folder / "picohttpparser.toml")).code == "unreadable-file");
  write(folder / "fix.patch", "one");
  auto const one = value_of(read_recipe(folder / "picohttpparser.toml")).sha256;
  write(folder / "fix.patch", "two");
  CHECK(value_of(read_recipe(folder / "picohttpparser.toml")).sha256 != one);
}

TEST_CASE("a repository is a folder of recipes, several versions in a folder of the package's name") {
  scratch_folder folder;
  auto const recipe_text = [](std::string const& name, std::string const& version) {
    return "schema = 1\nname = \"" + name + "\"\nversion = \"" + version +
           "\"\nlicence = \"ISC\"\n[source]\nkind = \"path\"\npath = \".\"\n";
  };
  write(folder / "a.toml", recipe_text("a", "1"));
  write(folder / "b/1.toml", recipe_text("b", "1"));
  write(folder / "b/2.toml", recipe_text("b", "2"));
  write(folder / "b/notes.txt", "no recipe");
  auto const read = value_of(read_repository(folder.path(), "overlay"));
  CHECK(read.name == "overlay");
  CHECK(read.revision.empty());
  REQUIRE(read.recipes.size() == 3);
  CHECK(read.recipes[2].version == "2");

  SECTION("a recipe under another name is an error") {
    write(folder / "c.toml", recipe_text("d", "1"));
    CHECK(error_of(read_repository(folder.path(), "overlay")).code == "wrong-value");
  }
  SECTION("a version that is there twice is an error") {
    write(folder / "b.toml", recipe_text("b", "2"));
    CHECK(error_of(read_repository(folder.path(), "overlay")).code == "wrong-value");
  }
  SECTION("a folder that is not there is an error") {
    CHECK(error_of(read_repository(folder / "none", "overlay")).code == "no-repository");
  }
}

TEST_CASE("a clean checkout gives its repository a revision, a changed one none") {
  scratch_folder folder;
  auto const git = [&](std::string const& arguments) {
    auto const command = "cd '" + (folder / "r").string() +
                         "' && git -c user.name=t -c user.email=t@example.invalid " + arguments +
                         " >/dev/null 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
  };
  write(folder / "r/p/a.toml",
        "schema = 1\nname = \"a\"\nversion = \"1\"\nlicence = \"ISC\"\n[source]\nkind = \"path\"\npath = "
        "\".\"\n");
  git("init -q .");
  git("add . ");
  git("commit -q -m one");
  auto const first = value_of(read_repository(folder / "r/p", "o")).revision;
  CHECK(first.size() == 40);
  write(folder / "r/other.txt", "not in the repository of recipes");
  git("add .");
  git("commit -q -m two");
  CHECK(value_of(read_repository(folder / "r/p", "o")).revision == first);
  write(folder / "r/p/note.txt", "not committed");
  CHECK(value_of(read_repository(folder / "r/p", "o")).revision.empty());
}

TEST_CASE("every built-in recipe can be read and solved") {
  auto const built_in = value_of(read_repository(fs::path(MORGANA_SOURCE) / "packages", "morgana"));
  for (auto const& one : built_in.recipes) {
    CAPTURE(one.name.value);
    CHECK_FALSE(one.summary.empty());
    CHECK(solve({built_in}, {text(one.name.value)}, {}, "unix").has_value());
  }
}

TEST_CASE("a recipe's choices are constants of the image") {
  std::string const text = std::string(good_recipe) + R"(
[choices.gzip]
type = "boolean"
default = "true"
constant = "http::features::gzip"
help = "Answers in gzip"
)";
  auto const read = value_of(parse_recipe(text, "/r/picohttpparser.toml"));
  auto const& gzip = read.choices.at("gzip");
  CHECK(gzip.constant == "http::features::gzip");
  CHECK(gzip.default_value == "true");
  CHECK(gzip.help == "Answers in gzip");
  for (std::string_view lacking : {"default = \"true\"\n", "constant = \"http::features::gzip\"\n"}) {
    auto less = text;
    less.erase(less.find(lacking), lacking.size());
    auto const error = error_of(parse_recipe(less, "/r/picohttpparser.toml"));
    CHECK(error.message == "`gzip` is no choice that a package can have");
    CHECK(error.where->line == 28);
  }
}

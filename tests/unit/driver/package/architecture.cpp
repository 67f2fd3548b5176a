#include "support.hpp"

using namespace package_test;

namespace {

constexpr std::string_view head = R"(schema = 1
name = "library"
version = "1"
licence = "ISC"
[source]
kind = "apt"
package = "library"
version = "1-1"
file = "library_1.orig.tar.xz"
sha256 = "a46894bd85da6528d4ad90ce0443b48118718296175061a1a1156e9e3af60a0d"
[architecture.x86_64]
folder = "x86_64"
machine = ["-march=x86-64", "-mno-red-zone"]
parts = ["src/x86_64/*.S"]
[architecture.armv7]
folder = "arm"
machine = ["-mfpu=neon"]
parts = []
)";

outcome<recipe> read_with(std::string const& rest) {
  return parse_recipe(std::string(head) + rest, "/r/library.toml");
}

}  // namespace

TEST_CASE("names in braces become the values of an architecture") {
  auto const both = value_of(read_with(R"([build]
flags = ["-O2", "{machine}", "-I{folder}/x"]
include = ["arch/{folder}"]
[[archive]]
name = "c"
sources = ["src/*.c", "{parts}"]
[[file]]
to = "include/{folder}.h"
text = "{folder} {unknown}"
[exports]
include = ["include/{folder}"]
flags = ["{machine}"]
)"));
  auto const pc = value_of(for_architecture(both, "x86_64"));
  CHECK(pc.flags == std::vector<std::string>{"-O2", "-march=x86-64", "-mno-red-zone", "-Ix86_64/x"});
  CHECK(pc.include == std::vector<std::string>{"arch/x86_64"});
  CHECK(pc.archives.at(0).sources == std::vector<std::string>{"src/*.c", "src/x86_64/*.S"});
  CHECK(pc.files.at(0).to == "include/x86_64.h");
  CHECK(pc.files.at(0).text == "{folder} {unknown}");
  CHECK(pc.architecture == "x86_64");
  auto const board = value_of(for_architecture(both, "armv7"));
  CHECK(board.archives.at(0).sources == std::vector<std::string>{"src/*.c"});
  CHECK(board.export_include == std::vector<std::string>{"include/arm"});
  CHECK(board.export_flags == std::vector<std::string>{"-mfpu=neon"});
}

TEST_CASE("an architecture that a recipe does not know is an error that names those it knows") {
  auto const error = error_of(for_architecture(value_of(read_with("")), "riscv64"));
  CHECK(error.code == "package-architecture");
  CHECK(error.message == "package `library` 1 does not know the architecture `riscv64`");
  CHECK(error.notes.at(0).message == "it knows `armv7`, `x86_64`");
  CHECK(error.where);
}

TEST_CASE("what an architecture lacks is told when the recipe is read") {
  auto const missing = read_with("[build]\nflags = [\"{foldr}\", \"-I{foldr}\"]\n");
  REQUIRE_FALSE(missing);
  REQUIRE(missing.error().size() == 2);  // once for each architecture
  CHECK(missing.error()[0].code == "unknown-name");
  CHECK(missing.error()[0].message == "architecture `armv7` of package `library` has no value `foldr`");
  CHECK(missing.error()[0].help.at(0) == "did you mean `folder`?");
  auto const list = read_with("[build]\nflags = [\"-I{machine}\"]\n");
  REQUIRE_FALSE(list);
  CHECK(
      list.error()[0].message ==
      "architecture `x86_64` of package `library`: `machine` stands within `-I{machine}`, but has 2 values");
}

TEST_CASE("a value cannot lead out of the source") {
  auto text = std::string(head);
  text.replace(text.find("\"arm\""), 5, "\"../arm\"");
  auto const out = parse_recipe(text + "[build]\ninclude = [\"{folder}\"]\n", "/r/library.toml");
  CHECK(error_of(out).message ==
        "architecture `armv7` of package `library`: `../arm` does not stay below the root");
}

TEST_CASE("a recipe without architectures is for all, and braces in it mean nothing") {
  auto what = package("plain", "1");
  what.flags = {"-DX={machine}"};
  auto const same = value_of(for_architecture(what, "riscv64"));
  CHECK(same.flags == what.flags);
  CHECK(same.architecture.empty());
}

TEST_CASE("archives and files of a recipe are read strictly") {
  auto const wrong = [](std::string const& rest) { return error_of(read_with(rest)); };
  CHECK(wrong("[build]\nsources = [\"*.c\"]\n[[archive]]\nname = \"c\"\nsources = [\"*.c\"]\n").message ==
        "the sources of a recipe with [[archive]]s are those of its archives");
  CHECK(wrong("[[archive]]\nname = \"c\"\n").message == "an archive is made of `sources`");
  CHECK(wrong("[[archive]]\nname = \"c\"\nsources=[\"*.c\"]\n[[archive]]\nname = \"c\"\nsources=[\"*.c\"]\n")
            .message == "there is an archive `c` already");
  CHECK(wrong("[[archive]]\nname = \"c\"\nsources = [\"*.o\"]\n").message ==
        "`*.o` does not end in .c, .cpp, .S or .s");
  CHECK(wrong("[[file]]\nto = \"a\"\ntext = \"\"\ncopy = \"b\"\n").message ==
        "a [[file]] is made in one way, this one has 2");
  CHECK(wrong("[[file]]\nto = \"../a\"\ntext = \"\"\n").message ==
        "`../a` does not stay below the root of the source");
  CHECK(wrong("[[file]]\nto = \"a\"\nedit = [\"a\"]\n").message ==
        "an edit has either `sed`, the script itself, or `script`, a file of the source");
  CHECK(wrong("[build]\ntoolchain = \"mine\"\n").code == "wrong-value");
  auto const in_place = parse_recipe(
      "schema = 1\nname = \"a\"\nversion = \"1\"\nlicence = \"ISC\"\n[source]\nkind = \"path\"\npath = "
      "\"../a\"\n"
      "[[file]]\nto = \"a\"\ntext = \"\"\n",
      "/r/a.toml");
  CHECK(error_of(in_place).message == "a path source cannot be changed: it is used where it is");
}

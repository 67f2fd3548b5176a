// Every way in which a description can be wrong: one diagnostic for each mistake, at its place.
#include <catch2/catch.hpp>

#include "morgana/driver/description.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

namespace {

std::string complaints(std::string_view text) {
  return morgana::driver::test::complaints(morgana::driver::parse_description(text, "/app/unikernel.toml"));
}

}  // namespace

TEST_CASE("a key that does not exist is pointed at, with the nearest one") {
  CHECK(complaints(R"(name = "a"
source = ["x.cpp"]
)") ==
        R"(2:1+6 unknown-name: unknown key `source`
  help: did you mean `sources`?
)");
}

TEST_CASE("an unknown key without a near one lists those there are") {
  CHECK(complaints(R"(name = "a"
colour = "red"
)") ==
        R"(2:1+6 unknown-name: unknown key `colour`
  help: remove it; the keys here are `budgets`, `catalogues`, `choices`, `devices`, `entry`, `help`, `include`, `name`, `options`, `packages`, `repositories`, `sources`, `target`
)");
}

TEST_CASE("a key of the top level below a header is told where it belongs") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
use = "embedded"
[budgets]
sources = ["x.cpp"]
)") ==
        R"(5:1+7 unknown-name: unknown key `sources` in [budgets]
  help: `sources` belongs to the top of the file: move it above the first [table]
)");
}

TEST_CASE("a missing name is one mistake") {
  CHECK(complaints(R"(sources = []
)") ==
        R"(0:0+1 missing-name: `name` is missing
  help: add `name = "..."`
)");
}

TEST_CASE("an empty name is one mistake") {
  CHECK(complaints(R"(name = ""
)") ==
        R"(1:8+2 wrong-value: `name` must not be empty
  help: write `name = "..."`
)");
}

TEST_CASE("a name that is no name gets a better one suggested") {
  CHECK(complaints(R"(name = "My App"
)") ==
        R"(1:8+8 wrong-value: `My App` cannot be the name of an application
  help: write `name = "my-app"`
  help: use a-z, 0-9 and `-`, begin with a letter, and write at most 63 characters
)");
}

TEST_CASE("a wrong type says what was expected and what is there") {
  CHECK(complaints(R"(name = "a"
sources = "x.cpp"
entry = 5
)") ==
        R"(2:11+7 wrong-value: `sources` must be an array, but it is text
  help: write `sources = [ ... ]`
3:9+1 wrong-value: `entry` must be text, but it is an integer
  help: write `entry = "..."`
)");
}

TEST_CASE("an array of the wrong things points at the wrong item") {
  CHECK(complaints(R"(name = "a"
packages = ["zlib", 7]
)") ==
        R"(2:21+1 wrong-value: `packages` must hold text only, but this is an integer
  help: put it in quotes
)");
}

TEST_CASE("a key defined twice shows both places") {
  CHECK(complaints(R"(name = "a"
entry = "x.hpp"
 name = "b"
)") ==
        R"(3:2+4 wrong-toml: `name` is defined twice
  note (1:1): first defined here
  help: keep one of the two
)");
}

TEST_CASE("a table defined twice shows both places") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
use = "embedded"
[devices.htdocs]
use = "direct"
)") ==
        R"(4:2+14 wrong-toml: `[devices.htdocs]` is defined twice
  note (2:10): first defined here
  help: keep one of the two
)");
}

TEST_CASE("a key defined twice in a table shows both places") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
folder = "a"
[devices.other]
folder = "b"
folder = "c"
)") ==
        R"(6:1+6 wrong-toml: `folder` is defined twice
  note (5:1): first defined here
  help: keep one of the two
)");
}

TEST_CASE("text without quotes is explained") {
  CHECK(complaints(R"(name = website
)") ==
        R"(1:8+7 wrong-toml: `website` is no TOML value
  help: text needs quotes: key = "text"
)");
}

TEST_CASE("an open string is explained") {
  CHECK(
      complaints(R"(name = "website
)") ==
      R"(1:16+1 wrong-toml: not valid TOML, in a string: unescaped control characters other than TAB (U+0009) are explicitly prohibited
  help: close the string with its quote on the same line
)");
}

TEST_CASE("an open array is explained") {
  CHECK(complaints(R"(name = "a"
sources = ["x.cpp"
)") ==
        R"(2:19+1 wrong-toml: not valid TOML, in an array: encountered end-of-file
  help: close what was opened here; entries are parted by commas
)");
}

TEST_CASE("bytes that are no UTF-8 are refused") {
  CHECK(complaints("name = \"a\xff\"\n") ==
        R"(1:10+1 wrong-toml: the file is not UTF-8 from here on
  help: save the file as UTF-8
)");
}

TEST_CASE("an absolute path is refused") {
  CHECK(complaints(R"(name = "a"
entry = "/etc/passwd"
sources = ["src/*.cpp", "/tmp/x.cpp"]
)") ==
        R"(2:9+13 wrong-value: `/etc/passwd` is an absolute path
  help: write it relative to the folder of unikernel.toml, so that the application can move
3:25+12 wrong-value: `/tmp/x.cpp` is an absolute path
  help: write it relative to the folder of unikernel.toml, so that the application can move
)");
}

TEST_CASE("an empty path is refused") {
  CHECK(complaints(R"(name = "a"
include = [""]
)") ==
        R"(2:12+2 wrong-value: a path must not be empty
  help: name a file or folder, relative to the folder of unikernel.toml
)");
}

TEST_CASE("a device must be a table") {
  CHECK(complaints(R"(name = "a"
[devices]
htdocs = "embedded"
)") ==
        R"(3:10+10 wrong-value: `htdocs` must be a table, but it is text
  help: write `htdocs.use = "..."`
)");
}

TEST_CASE("a device's name must be a C++ name") {
  CHECK(complaints(R"(name = "a"
[devices.my-device]
use = "embedded"
)") ==
        R"(2:10+9 wrong-value: `my-device` cannot be the name of a parameter
  help: name a parameter of start(), as it is spelled there
)");
}

TEST_CASE("use must be text") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
use = true
)") ==
        R"(3:7+4 wrong-value: `use` must be text, but it is true or false
  help: write `use = "..."`
)");
}

TEST_CASE("a device setting must be a scalar") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
folder = ["a", "b"]
)") ==
        R"(3:10+10 wrong-value: `folder` must be text, a number, true or false, but it is an array
  help: write `folder = "..."`
)");
}

TEST_CASE("wrap as a list must hold text") {
  CHECK(complaints(R"(name = "a"
[devices.htdocs]
wrap = ["a", 1]
)") ==
        R"(3:14+1 wrong-value: `wrap` must hold text only, but this is an integer
  help: put it in quotes
)");
}

TEST_CASE("an option must be a scalar") {
  CHECK(complaints(R"(name = "a"
[options]
port = [1, 2]
)") ==
        R"(3:8+6 wrong-value: `port` must be text, a number, true or false, but it is an array
  help: write `port = "..."`
)");
}

TEST_CASE("an option given twice shows both places") {
  CHECK(complaints(R"(name = "a"
[options]
"network.port" = 1
[options.network]
port = 2
)") ==
        R"(5:1+4 wrong-value: the option `network.port` is given twice
  note (3:1): first given here
  help: keep one of the two
)");
}

TEST_CASE("a target must have a target's name") {
  CHECK(complaints(R"(name = "a"
[target."Unix OS"]
memory = "64 MiB"
)") ==
        R"(2:9+9 wrong-value: `Unix OS` cannot be the name of a target
  help: `morgana targets` lists the names there are
)");
}

TEST_CASE("a target's setting must be a scalar") {
  CHECK(complaints(R"(name = "a"
[target.unix]
memory = { least = 1 }
)") ==
        R"(3:10+13 wrong-value: `memory` must be text, a number, true or false, but it is a table
  help: write `memory = "..."`
)");
}

TEST_CASE("a budget must be a size") {
  CHECK(complaints(R"(name = "a"
[budgets]
image = "256 KB"
)") ==
        R"(3:9+8 wrong-value: `256 KB` is no size
  help: write bytes (`4096`) or a binary unit (`64 KiB`, `16 MiB`, `1 GiB`)
)");
}

TEST_CASE("an unknown budget is an unknown key") {
  CHECK(complaints(R"(name = "a"
[budgets]
imge = "256 KiB"
)") ==
        R"(3:1+4 unknown-name: unknown key `imge` in [budgets]
  help: did you mean `image`?
)");
}

TEST_CASE("columns count bytes, not characters") {
  CHECK(complaints(R"(name = "a"
packages = [ "äöü", 5 ]
)") ==
        R"(2:24+1 wrong-value: `packages` must hold text only, but this is an integer
  help: put it in quotes
)");
}

TEST_CASE("two independent mistakes are both reported, in the order of the file") {
  CHECK(complaints(R"(name = "A"
[budgets]
image = "x"
[zzz]
)") ==
        R"(1:8+3 wrong-value: `A` cannot be the name of an application
  help: write `name = "a"`
  help: use a-z, 0-9 and `-`, begin with a letter, and write at most 63 characters
3:9+3 wrong-value: `x` is no size
  help: write bytes (`4096`) or a binary unit (`64 KiB`, `16 MiB`, `1 GiB`)
4:2+3 unknown-name: unknown key `zzz`
  help: remove it; the keys here are `budgets`, `catalogues`, `choices`, `devices`, `entry`, `help`, `include`, `name`, `options`, `packages`, `repositories`, `sources`, `target`
)");
}

TEST_CASE("dots without end are refused before they nest") {
  CHECK(complaints(R"(name = "a"
a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1
)") ==
        R"(2:130+1 wrong-toml: more than 64 dots outside strings in one line
  help: use [table] headers, or more lines
)");
}

TEST_CASE("brackets without end are refused before they nest") {
  CHECK(complaints(R"(x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
)") ==
        R"(1:37+1 wrong-toml: brackets are nested deeper than 32
  help: make it flatter
)");
}

TEST_CASE("half a word is no value") {
  CHECK(complaints(R"(name = tru
)") ==
        R"(1:8+3 wrong-toml: `tru` is no TOML value
  help: text needs quotes: key = "text"
)");
}

TEST_CASE("a key without a value is explained") {
  CHECK(complaints(R"(name = 
)") ==
        R"(1:8+1 wrong-toml: not valid TOML, in a key-value pair: expected value, saw '\n'
  help: text needs quotes: key = "text"
)");
}

TEST_CASE("two keys in a line are explained") {
  CHECK(complaints(R"(name = "a" entry = "b"
)") ==
        R"(1:12+1 wrong-toml: not valid TOML, in a key-value pair: expected a comment or whitespace, saw 'e'
  help: a line is `key = value`, a [table] header or a # comment
)");
}

TEST_CASE("a missing equals sign is explained") {
  CHECK(complaints(R"(name "a"
)") ==
        R"(1:6+1 wrong-toml: not valid TOML, in a key-value pair: expected '=', saw '"'
  help: a line is `key = value`, a [table] header or a # comment
)");
}

TEST_CASE("a key defined twice in an inline table is found") {
  CHECK(complaints(R"(x = { a = 1, a = 2 }
)") ==
        R"(1:14+1 wrong-toml: `a` is defined twice
  help: keep one of the two
)");
}

TEST_CASE("a table that is a value already shows both places") {
  CHECK(complaints(R"([a]
b = 1
[a.b]
)") ==
        R"(3:2+3 wrong-toml: `[a.b]` is defined twice
  note (2:1): first defined here
  help: keep one of the two
)");
}

TEST_CASE("an array of tables that becomes a table shows both places") {
  CHECK(complaints(R"([[a]]
[a]
)") ==
        R"(2:2+1 wrong-toml: `[a]` is defined twice
  note (1:3): first defined here
  help: keep one of the two
)");
}

TEST_CASE("an unknown escape is explained") {
  CHECK(complaints(R"(name = "\q"
)") ==
        R"(1:10+1 wrong-toml: not valid TOML, in a string: unknown escape sequence '\q'
  help: write \\ for a backslash, or put the text in '...'
)");
}

TEST_CASE("an open literal string is explained") {
  CHECK(
      complaints(R"(name = 'a
b = 1
)") ==
      R"(1:10+1 wrong-toml: not valid TOML, in a literal string: control characters other than TAB (U+0009) are explicitly prohibited
  help: close the string with its quote on the same line
)");
}

TEST_CASE("a dotted key that is defined again shows both places") {
  CHECK(complaints(R"(a.b = 1
a = 2
)") ==
        R"(2:1+1 wrong-toml: `a` is defined twice
  note (1:1): first defined here
  help: keep one of the two
)");
}

TEST_CASE("an open table header is explained") {
  CHECK(complaints(R"([devices
)") ==
        R"(1:9+1 wrong-toml: not valid TOML, in a table header: expected ']', saw '\n'
  help: a line is `key = value`, a [table] header or a # comment
)");
}

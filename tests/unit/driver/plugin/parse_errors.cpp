// Every way in which a target's file can be wrong: one diagnostic for each mistake, at its place.
#include <catch2/catch.hpp>

#include "morgana/driver/target.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

namespace {

std::string complaints(std::string_view text) {
  return morgana::driver::test::complaints(morgana::driver::parse_target(text, "/plugins/unix/unix.toml"));
}

}  // namespace

TEST_CASE("an empty file lacks what every target must have") {
  CHECK(complaints(R"(
)") ==
        R"(0:0+1 missing-name: `schema` is missing
  help: add `schema = 1`
0:0+1 missing-name: `api` is missing
  help: add `api = [1, 0]`
0:0+1 missing-name: `name` is missing
  help: add `name = "..."`
0:0+1 missing-name: `triple` is missing
  help: add `triple = "..."`
0:0+1 missing-name: `[guest]` is missing
  help: add the table `[guest]`
)");
}

TEST_CASE("a file of another schema is not read further") {
  CHECK(complaints(R"(schema = 2
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[new_table]
)") ==
        R"(1:10+1 target-schema: the file has schema 2, this morgana reads schema 1
  help: upgrade morgana
)");
}

TEST_CASE("a plugin of another interface version is refused with both numbers") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [2, 1]
triple = "host"
[guest]
platform_api = 1
[new_table]
)") ==
        R"(3:7+6 plugin-api: the plugin is written for plugin interface 2.1, this morgana speaks 1.0
  help: upgrade morgana, or install an older version of the plugin
)");
}

TEST_CASE("a plugin of an older interface version is refused with both numbers") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [0, 9]
triple = "host"
[guest]
platform_api = 1
)") ==
        R"(3:7+6 plugin-api: the plugin is written for plugin interface 0.9, this morgana speaks 1.0
  help: install a newer version of the plugin, or port it to this interface
)");
}

TEST_CASE("the interface version is two numbers") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1]
triple = "host"
[guest]
platform_api = 1
)") ==
        R"(3:7+3 wrong-value: `api` must be two numbers, major and minor
  help: write `api = [1, 0]`
)");
}

TEST_CASE("the interface version holds integers only") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = ["1", 0]
triple = "host"
[guest]
platform_api = 1
)") ==
        R"(3:8+3 wrong-value: `api` must hold integers only, but this is text
  help: write integers from 0 to 1000000
)");
}

TEST_CASE("a target of another platform interface is refused with both numbers") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 3
)") ==
        R"(6:16+1 platform-api: the target implements platform interface 3, this runtime needs 1
  help: upgrade morgana
)");
}

TEST_CASE("an unknown key is pointed at") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
source = []
)") ==
        R"(7:1+6 unknown-name: unknown key `source` in [guest]
  help: did you mean `sources`?
)");
}

TEST_CASE("a target is named as its file") {
  CHECK(complaints(R"(schema = 1
name = "linux"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
)") ==
        R"(2:8+7 wrong-value: the target `linux` must not be in a file named unix.toml
  help: write `name = "unix"`, or rename the folder and the file
)");
}

TEST_CASE("a target's name has a form") {
  CHECK(complaints(R"(schema = 1
name = "Unix!"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
)") ==
        R"(2:8+7 wrong-value: `Unix!` cannot be the name of a target
  help: use a-z, 0-9, `-` and `_`, begin with a letter, and write at most 63 characters
)");
}

TEST_CASE("a tier is from 1 to 3") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
tier = 4
[guest]
platform_api = 1
)") ==
        R"(5:8+1 wrong-value: `tier` must be from 1 to 3, but it is 4
  help: write a number from 1 to 3
)");
}

TEST_CASE("a choice in a flag names a boolean setting") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[link]
flags = ["{static?-static-pie:-pie}", "{statik?a:b}"]
[settings]
static = { type = "boolean", default = "false" }
memory = { type = "size", default = "256 MiB" }
)") ==
        R"(8:39+14 placeholder: `statik` in a flag is no boolean setting of this target
  help: did you mean `static`?
)");
}

TEST_CASE("a choice in a flag names a setting that is declared") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[compile]
cxx_flags = ["{fast?-O3:-O2}"]
)") ==
        R"(8:14+16 placeholder: `fast` in a flag is no boolean setting of this target
  help: declare it: [settings] fast = { type = "boolean", default = "false" }
)");
}

TEST_CASE("a choice in a flag has two branches") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[link]
flags = ["{static?-static}"]
[settings]
static = { type = "boolean", default = "false" }
)") ==
        R"(8:10+18 placeholder: the choice by `static` is not complete
  help: write {static?WHEN TRUE:WHEN FALSE}
)");
}

TEST_CASE("devices and options are no settings") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[settings]
devices = { type = "text" }
)") ==
        R"(8:1+7 wrong-value: `devices` cannot be the name of a setting
  help: choose another name; `devices`, `options` are taken
)");
}

TEST_CASE("a runner has a command") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[runner]
capabilities = []
)") ==
        R"(7:1+8 missing-name: `command` is missing in [runner]
  help: add `command = ["PROGRAM"]`, relative to the plugin's folder or on PATH
)");
}

TEST_CASE("a required tool has a command") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[requires]
tools = [ { package = "ninja-build" } ]
)") ==
        R"(8:11+27 missing-name: `command` is missing in [[requires.tools]]
  help: add `command = "..."`
)");
}

TEST_CASE("a limit is a number from 0 on") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[limits]
devices = -1
)") ==
        R"(8:11+2 wrong-value: `devices` must be at least 0, but it is -1
  help: write a number of at least 0
)");
}

TEST_CASE("an exit code fits in a byte") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[exit_codes]
panic = 256
)") ==
        R"(8:9+3 wrong-value: `panic` must be from 0 to 255, but it is 256
  help: write a number from 0 to 255
)");
}

TEST_CASE("an artefact is text") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[artefacts]
image = 5
)") ==
        R"(8:9+1 wrong-value: `image` must be text, but it is an integer
  help: write `image = "..."`
)");
}

TEST_CASE("a device of a target is checked as in a catalogue") {
  CHECK(complaints(R"(schema = 1
name = "unix"
api = [1, 0]
triple = "host"
[guest]
platform_api = 1
[[device]]
name = "tap"
provides = "net::device"
type = "tap<{x}>"
header = "x.hpp"
)") ==
        R"(10:8+10 placeholder: {x} in `type` is neither a need nor a setting
  help: declare it in `needs` or `config`
)");
}

TEST_CASE("wrong TOML is one mistake") {
  CHECK(complaints(R"(schema == 1
)") ==
        R"(1:9+1 wrong-toml: not valid TOML, in a value: could not determine value type
  help: text needs quotes: key = "text"
)");
}

// Every way in which a catalogue can be wrong: one diagnostic for each mistake, at its place.
#include <catch2/catch.hpp>

#include "morgana/driver/catalogue.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

namespace {

std::string complaints(std::string_view text) {
  return morgana::driver::test::complaints(morgana::driver::parse_catalogue(text, "/app/devices.toml"));
}

}  // namespace

TEST_CASE("an entry lacks what it must have, each once") {
  CHECK(complaints(R"([[device]]
)") ==
        R"(1:1+10 missing-name: `name` is missing in [[device]]
  help: add `name = "..."`
1:1+10 missing-name: `provides` is missing in [[device]]
  help: add `provides = "..."`
1:1+10 missing-name: `type` is missing in [[device]]
  help: add `type = "..."`
1:1+10 missing-name: `header` is missing in [[device]]
  help: add `header = "..."`
)");
}

TEST_CASE("a key that does not exist is pointed at") {
  CHECK(complaints(R"([[device]]
name = "socket"
provides = "net::stack"
type = "morgana::net::socket_stack"
header = "morgana/net/socket_stack.hpp"
need = []
)") ==
        R"(6:1+4 unknown-name: unknown key `need` in [[device]]
  help: did you mean `needs`?
)");
}

TEST_CASE("a constant of the image is a boolean's, and only it takes options away") {
  CHECK(complaints(R"([[device]]
name = "direct"
provides = "net::stack"
type = "direct_stack"
header = "x.hpp"
config.mtu = { type = "uint", constant = "net::mtu" }
config.ipv6 = { type = "boolean", constant = "morgana::net::ipv6" }
config.dhcp = { type = "boolean", options = ["ipv4=dhcp"] }
)") ==
        R"(6:42+10 wrong-value: only a choice of type boolean can be a constant of the image
  help: write `type = "boolean"`
7:46+20 wrong-value: `morgana::net::ipv6` is no variable's name
  help: write a C++ name without `morgana::`, like `net::features::ipv6`
8:45+13 wrong-value: options are left out by a choice that is a constant of the image, and this is none
  help: add `constant = "..."`
)");
}

TEST_CASE("a placeholder that is neither need nor setting is found") {
  CHECK(complaints(R"([[device]]
name = "direct"
provides = "net::stack"
type = "direct_stack<{devise}>"
header = "x.hpp"
needs = [ { name = "device", concept = "net::device" } ]
)") ==
        R"(4:8+24 placeholder: {devise} in `type` is neither a need nor a setting
  help: did you mean {device}?
)");
}

TEST_CASE("a placeholder where nothing is declared says what to declare") {
  CHECK(complaints(R"([[device]]
name = "direct"
provides = "net::stack"
type = "direct_stack<{mtu}>"
header = "x.hpp"
)") ==
        R"(4:8+21 placeholder: {mtu} in `type` is neither a need nor a setting
  help: declare it in `needs` or `config`
)");
}

TEST_CASE("generated without a generator is explained") {
  CHECK(complaints(R"([[device]]
name = "embedded"
provides = "kv"
type = "{generated}"
header = "x.hpp"
)") ==
        R"(4:8+13 placeholder: {generated} in `type`, but nothing is generated
  help: add `generate = { kind = "embed_folder", from = "..." }`
)");
}

TEST_CASE("a brace of C++ must be doubled") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x<y{}>"
header = "x.hpp"
)") ==
        R"(4:8+8 placeholder: a `{` in `type` belongs to no placeholder
  help: write {{ or }} for a brace of C++
)");
}

TEST_CASE("an open brace has no partner") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x<{y"
header = "x.hpp"
)") ==
        R"(4:8+6 placeholder: a `{` in `type` belongs to no placeholder
  help: write {{ or }} for a brace of C++
)");
}

TEST_CASE("a concept is written without morgana") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "morgana::net::stack"
type = "x"
header = "x.hpp"
)") ==
        R"(3:12+21 wrong-value: `morgana::net::stack` must be written without `morgana::`
  help: write `provides = "net::stack"`
)");
}

TEST_CASE("a concept's name is a C++ name") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "net.stack"
type = "x"
header = "x.hpp"
needs = [ { name = "device", concept = "net device" } ]
)") ==
        R"(3:12+11 wrong-value: `net.stack` is no concept's name
  help: write a C++ name, like `net::stack`
6:40+12 wrong-value: `net device` is no concept's name
  help: write a C++ name, like `net::stack`
)");
}

TEST_CASE("a wrong type of a concept is one mistake") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = 5
type = "x"
header = "x.hpp"
)") ==
        R"(3:12+1 wrong-value: `provides` must be text, but it is an integer
  help: write `provides = "..."`
)");
}

TEST_CASE("two needs must have two names") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x<{b}>"
header = "x.hpp"
needs = [ { name = "b", concept = "block" }, { name = "b", concept = "block" } ]
)") ==
        R"(6:55+3 wrong-value: two needs are named `b`
  note (6:20): the first is here
  help: give each need a name of its own
)");
}

TEST_CASE("a need cannot be named generated") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
needs = [ { name = "generated", concept = "block" } ]
)") ==
        R"(6:20+11 wrong-value: `generated` cannot be the name of a need
  help: write a C++ identifier other than `generated`
)");
}

TEST_CASE("a setting's type is one of five") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
config = { mtu = { type = "unit" } }
)") ==
        R"(6:27+6 wrong-value: `type` cannot be `unit`
  help: did you mean `uint`?
  help: write one of `text`, `boolean`, `uint`, `size`, `path`
)");
}

TEST_CASE("a default must fit its type") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
[device.config]
mtu = { type = "uint", default = "many" }
mode = { type = "text", default = "slow", values = ["fast", "safe"] }
on = { type = "boolean", default = 1 }
big = { type = "size", default = "1 KB" }
where = { type = "path", default = "/tmp" }
)") ==
        R"(7:34+6 wrong-value: the default `many` is no whole number
  help: write a whole number from 0 on
8:35+6 wrong-value: the default `slow` is not one of `fast`, `safe`
  help: write one of `fast`, `safe`
9:36+1 wrong-value: the default `1` is neither `true` nor `false`
  help: write `true` or `false`
10:34+6 wrong-value: the default `1 KB` is no size
  help: write bytes (`4096`) or a binary unit (`64 KiB`, `16 MiB`, `1 GiB`)
11:36+6 wrong-value: the default `/tmp` is an absolute path
  help: write a path relative to the application's folder
)");
}

TEST_CASE("use and wrap are no settings") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
config = { use = { type = "text" }, wrap = { type = "text" } }
)") ==
        R"(6:12+3 wrong-value: `use` cannot be the name of a setting
  help: choose another name; `use`, `wrap` are taken
6:37+4 wrong-value: `wrap` cannot be the name of a setting
  help: choose another name; `use`, `wrap` are taken
)");
}

TEST_CASE("a generator reads a path") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "{generated}"
header = "x.hpp"
config = { folder = { type = "text" } }
generate = { kind = "embed_folder", from = "folder" }
)") ==
        R"(7:44+8 wrong-value: `folder` is no setting of type path of this device
  help: declare `config = { folder = { type = "path" } }`
)");
}

TEST_CASE("a generator's kind is known") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
config = { folder = { type = "path" } }
generate = { kind = "embed_file", from = "folder" }
)") ==
        R"(7:21+12 wrong-value: `kind` cannot be `embed_file`
  help: did you mean `embed_folder`?
  help: write one of `embed_folder`
)");
}

TEST_CASE("a decorator needs what it provides") {
  CHECK(complaints(R"([[device]]
name = "pcap"
provides = "net::device"
type = "x<{inner}>"
header = "x.hpp"
wraps = "net::device"
needs = [ { name = "inner", concept = "net::stack" } ]
)") ==
        R"(6:9+13 wrong-value: a device that wraps `net::device` must provide it and need it exactly once
  help: write `provides = "net::device"` and one need of concept "net::device"
)");
}

TEST_CASE("two devices of one concept have two names") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
[[device]]
name = "a"
provides = "kv"
type = "y"
header = "y.hpp"
)") ==
        R"(7:8+3 wrong-value: two devices that provide `kv` are named `a`
  note (2:8): the first is here
  help: give each a name of its own
)");
}

TEST_CASE("a deadline is at least a millisecond") {
  CHECK(complaints(R"([[device]]
name = "a"
provides = "kv"
type = "x"
header = "x.hpp"
connect_timeout_ms = 0
)") ==
        R"(6:22+1 wrong-value: `connect_timeout_ms` must be from 1 to 3600000, but it is 0
  help: write a number from 1 to 3600000
)");
}

TEST_CASE("a name is a name") {
  CHECK(complaints(R"([[device]]
name = "a b"
provides = "kv"
type = "x"
header = "x.hpp"
)") ==
        R"(2:8+5 wrong-value: `a b` cannot be the name of a device
  help: use letters, digits, `_` and `-`, and begin with a letter
)");
}

TEST_CASE("device is an array of tables") {
  CHECK(complaints(R"([device]
name = "a"
)") ==
        R"(1:1+8 wrong-value: `device` must be an array of tables, but it is one table
  help: write its header with two brackets: `[[device]]`
)");
}

TEST_CASE("wrong TOML is one mistake") {
  CHECK(complaints(R"([[device]
)") ==
        R"(1:10+1 wrong-toml: not valid TOML, in a table header: expected ']', saw '\n'
  help: a line is `key = value`, a [table] header or a # comment
)");
}

// Every way in which a graph cannot be resolved: code, place, words and what to do.
#include "tests/unit/driver/graph/fixture.hpp"

#include <sstream>

#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using namespace morgana::driver::test;
using morgana::test::scratch_folder;

namespace {

std::string wrong(scene const& from) {
  return complaints(resolve_scene(from));
}

text_pairs const network{{"network", "net::stack"}};
text_pairs const data{{"data", "kv"}};

}  // namespace

TEST_CASE("a concept nobody provides on this target names the targets that do") {
  CHECK(wrong({.devices = entry("other", "kv"),
               .parameters = network,
               .elsewhere = {{"xen-armv7", entry("direct", "net::stack")},
                             {"sim", entry("direct", "net::stack") + entry("fake", "net::stack")}}}) ==
        R"(1:20+10 no-provider: nothing provides `net::stack` for `network` on target `unix`
  note: on target `sim` it is provided by `direct` or `fake`
  note: on target `xen-armv7` it is provided by `direct`
  help: configure for a target that has it: `morgana configure -t sim`
  help: or add a device of your own for this target: `catalogues = ["devices.toml"]`
)");
}

TEST_CASE("a need nobody provides points at the parameter and shows the chain") {
  CHECK(wrong({.devices = entry("direct", "net::stack", needs({{"device", "net::device"}})) +
                          entry("netfront", "net::device", "targets = [\"xen-*\"]"),
               .parameters = network}) ==
        R"(1:20+10 no-provider: nothing provides `net::device` for `network_device` on target `unix`
  note (6:19): `direct` needs `net::device` as its `device`
  help: or add a device of your own for this target: `catalogues = ["devices.toml"]`
)");
}

TEST_CASE("a lack felt by two parameters is one mistake") {
  auto const failed = resolve_scene({.devices = entry("a", "kv"),
                                     .parameters = {{"lan", "net::stack"}, {"wan", "net::stack"}},
                                     .elsewhere = {{"sim", entry("direct", "net::stack")}}});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().size() == 1);
}

TEST_CASE("a concept that no target knows is likely mistyped") {
  CHECK(wrong({.devices = entry("socket", "net::stack"), .parameters = {{"network", "net::stakc"}}}) ==
        R"(1:20+10 unknown-concept: no device provides the concept `net::stakc`, on any target
  help: did you mean `net::stack`?
  help: `morgana devices` lists the concepts that have devices; one of your own comes with `catalogues = ["devices.toml"]`
)");
}

TEST_CASE("an ambiguous choice shows the candidates and the line to add") {
  CHECK(wrong({.devices = entry("embedded", "kv", "help = \"Files in the image\"") + entry("folder", "kv"),
               .parameters = data}) ==
        R"(1:20+2 ambiguous-choice: `data` can be `embedded` or `folder`; nothing says which
  note (1:1): `embedded`: Files in the image
  note (7:1): `folder`
  help: add to unikernel.toml: [devices.data] use = "embedded"
  help: or choose on the command line: --data.use=embedded
)");
}

TEST_CASE("two defaults are no choice, and three candidates are listed in words") {
  CHECK(wrong({.devices =
                   entry("a", "kv", "default = true") + entry("b", "kv", "default = true") + entry("c", "kv"),
               .parameters = data}) ==
        R"(1:20+2 ambiguous-choice: `data` can be `a`, `b` or `c`; nothing says which
  note (1:1): `a`
  note (7:1): `b`
  note (13:1): `c`
  help: add to unikernel.toml: [devices.data] use = "a"
  help: or choose on the command line: --data.use=a
)");
}

TEST_CASE("an implementation that does not exist is pointed at, with the nearest") {
  CHECK(wrong({.devices = entry("embedded", "kv") + entry("folder", "kv"),
               .parameters = data,
               .app = "[devices.data]\nuse = \"embeded\"\n"}) ==
        R"(3:7+9 unknown-name: `embeded` is no implementation of `kv` on target `unix`
  help: did you mean `embedded`?
  help: here it can be `embedded` or `folder`
)");
}

TEST_CASE("an implementation chosen on the command line is quoted from there") {
  CHECK(
      wrong({.devices = entry("embedded", "kv"), .parameters = data, .command_line = {{"data.use", "x"}}}) ==
      R"(- unknown-name: `x` is no implementation of `kv` on target `unix`
  note: given on the command line: --data.use=x
  help: here it can be `embedded`
)");
}

TEST_CASE("an implementation of another target is sent to that target's section") {
  CHECK(wrong({.devices = entry("socket", "net::stack"),
               .parameters = network,
               .app = "[devices.network]\nuse = \"direct\"\n",
               .elsewhere = {{"sim", entry("direct", "net::stack")}}}) ==
        R"(3:7+8 unknown-name: `direct` is no implementation of `net::stack` on target `unix`
  note: target `sim` has it
  help: move the choice to [target.sim.devices.network]
  help: here it can be `socket`
)");
}

TEST_CASE("a decorator is no choice") {
  CHECK(wrong({.devices =
                   entry("tap", "net::device") +
                   entry("pcap", "net::device", needs({{"of", "net::device"}}) + "\nwraps = \"net::device\""),
               .parameters = {{"network", "net::device"}},
               .app = "[devices.network]\nuse = \"pcap\"\n"}) ==
        R"(3:7+6 unknown-name: `pcap` is no implementation of `net::device` on target `unix`
  help: `pcap` wraps another device: write `wrap = "pcap"` in [devices.network]
)");
}

TEST_CASE("a decorator that does not exist is pointed at") {
  auto const devices =
      entry("tap", "net::device") +
      entry("pcap", "net::device", needs({{"of", "net::device"}}) + "\nwraps = \"net::device\"");
  scene one{.devices = devices,
            .parameters = {{"network", "net::device"}},
            .app = "[devices.network]\nwrap = \"pcpa\"\n"};
  CHECK(wrong(one) ==
        R"(3:8+6 unknown-name: `pcpa` is no device that wraps `net::device` on target `unix`
  help: did you mean `pcap`?
  help: it can be `pcap`
)");
  one.devices = entry("tap", "net::device");
  one.app = "";
  one.command_line = {{"network.wrap", "pcap"}};
  CHECK(wrong(one) ==
        R"(- unknown-name: `pcap` is no device that wraps `net::device` on target `unix`
  note: given on the command line: --network.wrap=pcap
  help: remove it; nothing wraps this concept here
)");
  one.devices = devices;
  one.command_line = {{"network.wrap", "pcap,pcap"}};
  CHECK(wrong(one) ==
        R"(1:20+11 wrong-value: `wrap` of `network` names `pcap` twice
  help: name each once
)");
}

TEST_CASE("a parameter that does not exist is pointed at, with the nearest") {
  CHECK(wrong({.devices = entry("a", "kv"),
               .parameters = {{"htdocs", "kv"}},
               .app = "[devices.htdcos]\nuse = \"a\"\n"}) ==
        R"(2:10+6 unknown-name: start() has no parameter `htdcos`, and nothing it needs is named so
  note (1:8): start() is here
  help: did you mean `htdocs`?
)");
  CHECK(wrong({.devices = entry("a", "kv"), .parameters = data, .app = "[target.unix.devices.colour]\n"}) ==
        R"(2:22+6 unknown-name: start() has no parameter `colour`, and nothing it needs is named so
  note (1:8): start() is here
  help: remove it; the names are `data`
)");
  CHECK(wrong({.devices = entry("a", "kv"), .parameters = data, .command_line = {{"dta.folder", "x"}}}) ==
        R"(- unknown-name: start() has no parameter `dta`, and nothing it needs is named so
  note: given on the command line: --dta.folder=x
  note (1:8): start() is here
  help: did you mean `data`?
)");
  CHECK(wrong({.app = "[devices.x]\nuse = \"a\"\n"}) ==
        R"(2:10+1 unknown-name: start() has no parameter `x`, and nothing it needs is named so
  note (1:8): start() is here
  help: remove it; start() takes no devices
)");
}

TEST_CASE("what a parameter that failed would have needed is not complained about") {
  CHECK(wrong({.devices = entry("a", "kv", needs({{"disk", "block"}})) + entry("b", "kv"),
               .parameters = data,
               .app = "[devices.data]\nuse = \"c\"\n[target.unix.devices.data_disk]\nuse = \"x\"\n"}) ==
        R"(3:7+3 unknown-name: `c` is no implementation of `kv` on target `unix`
  help: here it can be `a` or `b`
)");
}

TEST_CASE("a setting that does not exist is pointed at its key") {
  CHECK(
      wrong({.devices = entry("embedded", "kv", "config = { folder = { type = \"path\", default = \".\" } }"),
             .parameters = data,
             .app = "[devices.data]\nfoldr = \"htdocs\"\n"}) ==
      R"(3:1+5 unknown-name: `embedded` has no setting `foldr`
  help: did you mean `folder`?
)");
}

TEST_CASE("a setting of the wrong kind is pointed at its value") {
  CHECK(wrong({.devices = entry("embedded", "kv", "config = { mtu = { type = \"uint\", default = 1 } }"),
               .parameters = data,
               .app = "[devices.data]\nmtu = \"many\"\n"}) ==
        R"(3:7+6 wrong-value: `many` is no whole number, so it cannot be `mtu` of `embedded`
  help: write a whole number from 0 on
)");
}

TEST_CASE("a setting that must be given says where") {
  auto const devices =
      entry("embedded", "kv", "config = { folder = { type = \"path\", help = \"The folder to embed\" } }");
  CHECK(wrong({.devices = devices, .parameters = data}) ==
        R"(1:20+2 missing-setting: `embedded` needs the setting `folder`
  note (6:12): The folder to embed
  help: add `folder = ...` to [devices.data] in unikernel.toml, or give --data.folder=...
)");
  CHECK(wrong({.devices = devices, .parameters = data, .app = "[devices.data]\nuse = \"embedded\"\n"}) ==
        R"(2:10+4 missing-setting: `embedded` needs the setting `folder`
  note (6:12): The folder to embed
  help: add `folder = ...` to [devices.data] in unikernel.toml, or give --data.folder=...
)");
}

TEST_CASE("a device that needs itself is a cycle, shown as a chain") {
  CHECK(wrong({.devices = entry("partition", "block", needs({{"disk", "block"}})),
               .parameters = {{"data", "block"}}}) ==
        R"(1:20+5 device-cycle: `partition` needs itself: start → data → disk
  note (6:19): `partition` needs `block` as its `disk`
  help: add a device that provides `block` without needing it
)");
}

TEST_CASE("a cycle of several devices that another device would break names it") {
  CHECK(wrong({.devices = entry("a", "kv", needs({{"below", "block"}})) +
                          entry("b", "block", needs({{"store", "kv"}}) + "\ndefault = true") +
                          entry("c", "block"),
               .parameters = data,
               .app = "[devices.data_below]\nuse = \"b\"\n"}) ==
        R"(1:20+2 device-cycle: `a` needs itself: start → data → below → store
  note (6:19): `a` needs `block` as its `below`
  note (12:19): `b` needs `kv` as its `store`
  help: add a device that provides `kv` without needing it
)");
  CHECK(wrong({.devices = entry("b", "block", needs({{"under", "block"}}) + "\ndefault = true") +
                          entry("c", "block"),
               .parameters = {{"data", "block"}}}) ==
        R"(1:20+5 device-cycle: `b` needs itself: start → data → under
  note (6:19): `b` needs `block` as its `under`
  help: choose another device inside: [devices.data_under] use = "c"
)");
}

TEST_CASE("two parameters cannot have one exclusive thing") {
  auto const devices = entry("tap", "net::device",
                             "exclusive = true\nconfig = { interface = { type = \"text\", unique = true } }");
  scene both{.devices = devices, .parameters = {{"lan", "net::device"}, {"wan", "net::device"}}};
  both.app = "[devices.lan]\ninterface = \"tap0\"\n[devices.wan]\ninterface = \"tap0\"\n";
  CHECK(wrong(both) ==
        R"(2:40+3 device-conflict: `lan` and `wan` both want interface `tap0` of `tap`
  note (1:40): `lan` is asked for here
  help: give one of them another: [devices.wan] interface = ...
)");
  both.app = "[devices.lan]\ninterface = \"tap0\"\n[devices.wan]\ninterface = \"tap1\"\n";
  CHECK(resolve_scene(both));
}

TEST_CASE("what an image has or has not is the same for all its devices") {
  auto const devices = entry("direct", "net::stack",
                             "exclusive = true\nconfig = { ipv6 = { type = \"boolean\", default = \"true\", "
                             "constant = \"net::features::ipv6\" } }");
  scene both{.devices = devices, .parameters = {{"lan", "net::stack"}, {"wan", "net::stack"}}};
  both.app = "[devices.wan]\nipv6 = false\n";
  CHECK(wrong(both) ==
        R"(2:40+3 device-conflict: `ipv6` of `lan` is true, of `wan` false: the image has it or has it not
  note (1:40): `lan` is asked for here
  help: write the same for both: [devices.wan] ipv6 = true
)");
  both.app = "[devices.lan]\nipv6 = false\n[devices.wan]\nipv6 = false\n";
  CHECK(resolve_scene(both));
}

TEST_CASE("independent mistakes are reported together") {
  auto const failed = resolve_scene({.devices = entry("a", "kv") + entry("b", "kv"),
                                     .parameters = {{"data", "kv"}, {"network", "net::stack"}},
                                     .app = "[devices.nothing]\nuse = \"x\"\n"});
  REQUIRE_FALSE(failed);
  std::string codes;
  for (auto const& one : failed.error()) codes += one.code + " ";
  CHECK(codes == "ambiguous-choice unknown-concept unknown-name ");
}

TEST_CASE("a lattice of needs ends at a limit, not at the end of memory") {
  std::string devices = entry("d0", "c0");
  for (int i = 1; i < 40; ++i) {
    auto const below = "c" + std::to_string(i - 1);
    devices += entry("d" + std::to_string(i), "c" + std::to_string(i), needs({{"a", below}, {"b", below}}));
  }
  CHECK(resolve_scene({.devices = devices, .parameters = {{"x", "c8"}}}));
  auto const failed = resolve_scene({.devices = devices, .parameters = {{"x", "c39"}}});
  REQUIRE_FALSE(failed);
  REQUIRE(failed.error().size() == 1);
  CHECK(failed.error()[0].code == "graph-limit");
  CHECK(failed.error()[0].message == "the application needs devices in more than 4096 ways");
}

TEST_CASE("more nodes than fit, or a type that grows without end, are errors") {
  std::string devices = entry("d0", "c0", "exclusive = true", "x");
  for (int i = 1; i < 12; ++i) {
    auto const below = "c" + std::to_string(i - 1);
    devices += entry("d" + std::to_string(i), "c" + std::to_string(i), needs({{"a", below}, {"b", below}}));
  }
  auto const nodes = resolve_scene({.devices = devices, .parameters = {{"x", "c9"}}});
  REQUIRE_FALSE(nodes);
  CHECK(nodes.error()[0].message == "the application needs more than 256 devices");

  std::string types = entry("d0", "c0", "", std::string(100, 'x'));
  for (int i = 1; i < 12; ++i) {
    auto const below = "c" + std::to_string(i - 1);
    types += entry("d" + std::to_string(i), "c" + std::to_string(i), needs({{"a", below}}), "x<{a}, {a}>");
  }
  auto const type = resolve_scene({.devices = types, .parameters = {{"x", "c11"}}});
  REQUIRE_FALSE(type);
  CHECK(type.error()[0].code == "graph-limit");
  CHECK(type.error()[0].message.find("longer than 16384 bytes") != std::string::npos);
}

TEST_CASE("an ambiguous choice as a person reads it") {
  scratch_folder const folder;
  auto const hpp = folder.write("unikernel.hpp", "task<> start(key_value_store auto& htdocs);\n");
  auto const toml =
      folder.write("catalogue.toml", entry("embedded", "key_value_store", "help = \"Files in the image\"") +
                                         entry("folder", "key_value_store", "help = \"Files of the host\""));
  auto const app = parse_description("name = \"website\"\n", folder.path() / "unikernel.toml");
  auto const devices = parse_catalogue(entry("embedded", "key_value_store", "help = \"Files in the image\"") +
                                           entry("folder", "key_value_store", "help = \"Files of the host\""),
                                       toml);
  requirements needed;
  needed.start = {hpp, 1, 8, 5};
  needed.devices.push_back({{"htdocs", {hpp, 1, 36, 6}}, {"key_value_store", {hpp, 1, 14, 15}}});
  auto const failed = resolve({.app = &*app,
                               .needs = &needed,
                               .available = &*devices,
                               .target = "unix",
                               .known = {},
                               .command_line = {}});
  REQUIRE_FALSE(failed);
  REQUIRE(failed.error().size() == 1);
  std::ostringstream out;
  print_text(out, failed.error()[0], folder.path(), color_choice::never);
  CHECK(
      out.str() ==
      R"(unikernel.hpp:1:14: error: `htdocs` can be `embedded` or `folder`; nothing says which [ambiguous-choice]
    1 | task<> start(key_value_store auto& htdocs);
      |              ^~~~~~~~~~~~~~~
catalogue.toml:1:1: note: `embedded`: Files in the image
    1 | [[device]]
      | ^~~~~~~~~~
catalogue.toml:7:1: note: `folder`: Files of the host
    7 | [[device]]
      | ^~~~~~~~~~
help: add to unikernel.toml: [devices.htdocs] use = "embedded"
help: or choose on the command line: --htdocs.use=embedded
)");
}

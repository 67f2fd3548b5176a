#include <catch2/catch.hpp>

#include "morgana/driver/catalogue.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

using namespace morgana::driver;
using morgana::driver::test::complaints;

namespace {

std::string entry(std::string const& name, std::string const& more = {}, std::string const& provides = "kv") {
  return "[[device]]\nname = \"" + name + "\"\nprovides = \"" + provides + "\"\ntype = \"T_" + name +
         "\"\nheader = \"x.hpp\"\n" + more + "\n";
}

catalogue parsed(std::string const& text, std::string const& file = "devices.toml") {
  auto result = parse_catalogue(text, file);
  INFO(complaints(result));
  REQUIRE(result);
  return std::move(*result);
}

std::string names(std::vector<device const*> const& devices) {
  std::string result;
  for (auto const* one : devices)
    result += (result.empty() ? "" : " ") + one->name.value + "@" + one->where.file.string();
  return result;
}

}  // namespace

TEST_CASE("every key of a device is read") {
  auto const read = parsed(R"(
[[device]]
name = "direct"
provides = "net::stack"
type = "morgana::net::direct_stack<{device}, {config.mtu}>"
header = "morgana/net/direct_stack.hpp"
needs = [ { name = "device", concept = "net::device" }, { name = "clock", concept = "clock" } ]
config = { mtu = { type = "uint", default = 1500, help = "Largest packet, bytes" } }
options = "morgana::net::direct_stack_options"
exclusive = true
default = true
targets = ["unix", "xen-*"]
packages = ["morgana-net"]
connect_timeout_ms = 250
help = "Our own stack"

[[device]]
name = "embedded"
provides = "key_value_store"
type = "{generated}"
header = "x.hpp"
config.folder = { type = "path", unique = true }
config.mode = { type = "text", values = ["a", "b"], default = "a" }
config.cache = { type = "size", default = "64 KiB" }
generate = { kind = "embed_folder", from = "folder" }

[[device]]
name = "pcap"
provides = "net::device"
wraps = "net::device"
type = "pcap<{inner}>{{}}"
header = "x.hpp"
needs = [ { name = "inner", concept = "net::device" } ]
)");
  REQUIRE(read.devices.size() == 3);
  auto const& direct = read.devices[0];
  CHECK(direct.name.value == "direct");
  CHECK(direct.provides.value == "net::stack");
  CHECK(direct.type == "morgana::net::direct_stack<{device}, {config.mtu}>");
  CHECK(direct.header == "morgana/net/direct_stack.hpp");
  REQUIRE(direct.needs.size() == 2);
  CHECK(direct.needs[1].name.value == "clock");
  CHECK(direct.needs[0].concept_name.value == "net::device");
  CHECK(direct.config.at("mtu").type == setting_type::unsigned_integer);
  CHECK(direct.config.at("mtu").default_value == "1500");
  CHECK(direct.config.at("mtu").help == "Largest packet, bytes");
  CHECK(direct.options == "morgana::net::direct_stack_options");
  CHECK(direct.exclusive);
  CHECK(direct.is_default);
  CHECK(direct.targets == std::vector<std::string>{"unix", "xen-*"});
  CHECK(direct.packages == std::vector<std::string>{"morgana-net"});
  CHECK(direct.connect_timeout == std::chrono::milliseconds(250));
  CHECK(direct.help == "Our own stack");
  CHECK(direct.where.line == 2);
  CHECK_FALSE(direct.wraps);

  auto const& embedded = read.devices[1];
  CHECK(embedded.generate == generator_kind::embed_folder);
  CHECK(embedded.generate_from == "folder");
  CHECK_FALSE(embedded.config.at("folder").default_value);
  CHECK(embedded.config.at("folder").unique);
  CHECK(embedded.config.at("mode").values == std::vector<std::string>{"a", "b"});
  CHECK(embedded.config.at("cache").default_value == "65536");
  CHECK_FALSE(embedded.exclusive);
  CHECK(embedded.connect_timeout == std::chrono::seconds(10));
  CHECK(read.devices[2].wraps == "net::device");
}

TEST_CASE("a star in a target's pattern stands for any text, and nothing else is special") {
  CHECK(matches_target("unix", "unix"));
  CHECK(matches_target("*", "unix"));
  CHECK(matches_target("*", ""));
  CHECK(matches_target("xen-*", "xen-armv7"));
  CHECK(matches_target("xen-*", "xen-"));
  CHECK(matches_target("*v7", "xen-armv7"));
  CHECK(matches_target("x*-*7", "xen-armv7"));
  CHECK(matches_target("a*b*c", "aXbXbXc"));
  CHECK_FALSE(matches_target("unix", "unix2"));
  CHECK_FALSE(matches_target("unix", "uni"));
  CHECK_FALSE(matches_target("xen-*", "xen"));
  CHECK_FALSE(matches_target("u?ix", "unix"));
  CHECK_FALSE(matches_target("[u]nix", "unix"));
  CHECK_FALSE(matches_target("", "unix"));
  CHECK_FALSE(matches_target("a*b*c", "aXbX"));
}

TEST_CASE("a pattern of many stars costs no exponential time") {
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "*a";
  CHECK_FALSE(matches_target(pattern + "b", std::string(3000, 'a')));
}

TEST_CASE("entries without targets belong to the owner, and a target sees only what holds for it") {
  catalogue all;
  merge(all, parsed(entry("everywhere") + entry("xen_only", "targets = [\"xen-*\"]")), "*");
  merge(all, parsed(entry("own")), "unix");
  CHECK(names(devices_for(all, "unix")) == "everywhere@devices.toml own@devices.toml");
  CHECK(names(devices_for(all, "xen-armv7")) == "everywhere@devices.toml xen_only@devices.toml");
  CHECK(names(devices_for(all, "sim")) == "everywhere@devices.toml");
}

TEST_CASE("a later entry of the same concept and name replaces an earlier one where both hold") {
  catalogue all;
  merge(all, parsed(entry("a") + entry("b"), "runtime"), "*");
  merge(all, parsed(entry("a"), "plugin"), "unix");
  CHECK(names(devices_for(all, "unix")) == "b@runtime a@plugin");
  CHECK(names(devices_for(all, "sim")) == "a@runtime b@runtime");
  merge(all, parsed(entry("a"), "app"), "*");
  CHECK(names(devices_for(all, "unix")) == "b@runtime a@app");
  CHECK(names(devices_for(all, "sim")) == "b@runtime a@app");
  merge(all, parsed(entry("a", "", "block"), "app"), "*");
  CHECK(names(candidates(all, "kv", "sim")) == "b@runtime a@app");
  CHECK(names(candidates(all, "block", "sim")) == "a@app");
  CHECK(names(candidates(all, "net", "sim")).empty());
}

TEST_CASE("a setting has one normal form") {
  auto const normal = [](setting_type type, std::string_view text) {
    auto result = normalize_setting(
        {.name = {}, .type = type, .default_value = {}, .help = {}, .values = {}, .unique = false}, text);
    return result ? *result : "! " + result.error();
  };
  CHECK(normal(setting_type::text, "a b") == "a b");
  CHECK(normal(setting_type::boolean, "true") == "true");
  CHECK(normal(setting_type::boolean, "yes") == "! is neither `true` nor `false`");
  CHECK(normal(setting_type::unsigned_integer, "007") == "7");
  CHECK(normal(setting_type::unsigned_integer, "-1") == "! is no whole number");
  CHECK(normal(setting_type::unsigned_integer, "") == "! is no whole number");
  CHECK(normal(setting_type::unsigned_integer, "18446744073709551616") == "! is too large");
  CHECK(normal(setting_type::size, "64 KiB") == "65536");
  CHECK(normal(setting_type::size, "64 kB") == "! is no size");
  CHECK(normal(setting_type::path, "./a/../htdocs/") == "htdocs");
  CHECK(normal(setting_type::path, "../lib") == "../lib");
  CHECK(normal(setting_type::path, ".") == ".");
  CHECK(normal(setting_type::path, "/etc") == "! is an absolute path");
  CHECK(normal(setting_type::path, "") == "! is no path");
  CHECK(normal(setting_type::path, std::string_view("a\0b", 3)) == "! holds a zero byte");
}

TEST_CASE("settings are evaluated from the strongest layer that has them") {
  auto const declared = parsed(entry("a", R"(
[device.config]
size = { type = "size", default = "1 KiB" }
mode = { type = "text", values = ["fast", "safe"], default = "safe" }
folder = { type = "path", help = "What to serve" })"))
                            .devices[0]
                            .config;
  source_location const at{"unikernel.toml", 3, 1};
  auto const said = [&](std::string value) {
    return setting{std::move(value), {"unikernel.toml", 4, 8}, {"unikernel.toml", 4, 1}};
  };
  setting_map const typed{{"size", {"2 KiB", {}, {}}}};
  setting_map const written{{"size", said("4 KiB")}, {"folder", said("htdocs")}};
  auto const evaluate = [&](std::vector<setting_layer> const& layers) {
    return evaluate_settings(declared, layers, "`a`", "[devices.x]", at);
  };
  SECTION("when all is well") {
    auto const result = evaluate({{&typed, "--x.", false}, {&written, "--x.", false}});
    REQUIRE(result);
    CHECK(*result ==
          std::map<std::string, std::string>{{"size", "2048"}, {"mode", "safe"}, {"folder", "htdocs"}});
  }
  SECTION("an unknown name is pointed at its key") {
    setting_map const wrong{{"foldr", said("x")}, {"folder", said("x")}};
    CHECK(complaints(evaluate({{&wrong, "--x.", false}})) ==
          "4:1+1 unknown-name: `a` has no setting `foldr`\n  help: did you mean `folder`?\n");
    CHECK(evaluate({{&wrong, "--x.", true}}));
  }
  SECTION("a wrong value is pointed at itself, one from the command line is quoted") {
    setting_map const wrong{{"mode", said("fsat")}, {"folder", said("x")}};
    CHECK(complaints(evaluate({{&wrong, "--x.", false}})) ==
          "4:8+1 wrong-value: `fsat` is not one of `fast`, `safe`, so it cannot be `mode` of `a`\n"
          "  help: did you mean `fast`?\n  help: write one of `fast`, `safe`\n");
    setting_map const typed_wrong{{"size", {"big", {}, {}}}, {"folder", said("x")}};
    CHECK(complaints(evaluate({{&typed_wrong, "--x.", false}})) ==
          "- wrong-value: `big` is no size, so it cannot be `size` of `a`\n"
          "  note: given on the command line: --x.size=big\n"
          "  help: write bytes (`4096`) or a binary unit (`64 KiB`, `16 MiB`, `1 GiB`)\n");
  }
  SECTION("a setting without a default must be given") {
    CHECK(complaints(evaluate({{&typed, "--x.", false}})) ==
          "3:1+1 missing-setting: `a` needs the setting `folder`\n  note (10:1): What to serve\n"
          "  help: add `folder = ...` to [devices.x] in unikernel.toml, or give --x.folder=...\n");
  }
}

#include <catch2/catch.hpp>

#include "morgana/driver/target.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"
#include "tests/support/environment_variable.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace morgana::driver;
using morgana::driver::test::complaints;
using morgana::test::environment_variable;
using morgana::test::scratch_folder;

namespace {

std::string minimal(std::string const& name) {
  return "schema = 1\nname = \"" + name + "\"\napi = [1, 0]\ntriple = \"host\"\n[guest]\nplatform_api = 1\n";
}

/// A world of its own: no plugin of this machine is seen.
struct isolated {
  scratch_folder folder;
  environment_variable home{"MORGANA_HOME", (folder.path() / "system").c_str()};
  environment_variable data{"XDG_DATA_HOME", (folder.path() / "user").c_str()};
  environment_variable path{"MORGANA_PLUGIN_PATH", nullptr};
};

}  // namespace

TEST_CASE("every key of a target is read") {
  auto const read = parse_target(R"(
schema = 1
name = "unix"
summary = "A process of this host"
tier = 1
api = [1, 7]
library = "libunix.so"
triple = "x86_64-linux-gnu"
catalogue = "devices.toml"
[guest]
platform_api = 1
sources = ["../../targets/unix/*.cpp"]
include = ["../../targets/unix/include"]
link_script = "unix.lds"
packages = ["morgana-core"]
[compile]
flags = ["-O2"]
c_flags = ["-std=c17"]
cxx_flags = ["-std=c++23", "{static?-DSTATIC:}"]
[link]
flags = ["{static?-static-pie:-pie}", "-Wl,--version-script={name}"]
[settings]
static = { type = "boolean", default = "false", help = "h" }
memory = { type = "size", default = "256 MiB" }
[runner]
command = ["unix-runner", "-q"]
capabilities = ["console", "exit"]
[artefacts]
image = "{name}"
[requires]
tools = [ { command = "ninja", package = "ninja-build", why = "runs the build" } ]
[limits]
devices = 64
[exit_codes]
panic = 70
[[device]]
name = "tap"
provides = "net::device"
type = "morgana::tap"
header = "tap.hpp"
)",
                                 "/p/unix/unix.toml");
  INFO(complaints(read));
  REQUIRE(read);
  using list = std::vector<std::string>;
  CHECK(read->name == "unix");
  CHECK(read->summary == "A process of this host");
  CHECK(read->tier == 1);
  CHECK(read->api_major == 1);
  CHECK(read->api_minor == 7);
  CHECK(read->folder == "/p/unix");
  CHECK(read->library == "/p/unix/libunix.so");
  CHECK(read->triple == "x86_64-linux-gnu");
  CHECK(read->catalogue_file == "/p/unix/devices.toml");
  CHECK(read->platform_api == 1);
  CHECK(read->guest_sources == list{"../../targets/unix/*.cpp"});
  CHECK(read->guest_include == list{"../../targets/unix/include"});
  CHECK(read->link_script == "/p/unix/unix.lds");
  CHECK(read->guest_packages == list{"morgana-core"});
  CHECK(read->flags == list{"-O2"});
  CHECK(read->c_flags == list{"-std=c17"});
  CHECK(read->cxx_flags == list{"-std=c++23", "{static?-DSTATIC:}"});
  CHECK(read->link_flags.size() == 2);
  CHECK(read->settings.at("memory").default_value == "268435456");
  CHECK(read->settings.at("static").type == setting_type::boolean);
  CHECK(read->runner == list{"unix-runner", "-q"});
  CHECK(read->capabilities == list{"console", "exit"});
  CHECK(read->artefacts.at("image") == "{name}");
  REQUIRE(read->tools.size() == 1);
  CHECK(read->tools[0].package == "ninja-build");
  CHECK(read->limits.at("devices") == 64);
  CHECK(read->exit_codes.at("panic") == 70);
  REQUIRE(read->devices.devices.size() == 1);
  CHECK(read->devices.devices[0].targets.empty());
}

TEST_CASE("one of several targets in a folder is named by both") {
  CHECK(parse_target(minimal("xen-x86_64"), "/p/xen/x86_64.toml"));
}

TEST_CASE("the targets of this repository can be read") {
  auto const plugins = std::filesystem::path(MORGANA_SOURCE) / "plugins";
  environment_variable const home("MORGANA_HOME", MORGANA_SOURCE);
  environment_variable const data("XDG_DATA_HOME", "/nonexistent");
  environment_variable const path("MORGANA_PLUGIN_PATH", nullptr);
  diagnostics broken;
  auto const all = all_targets({}, broken);
  INFO(complaints(broken));
  CHECK(broken.empty());
  CHECK_FALSE(all.empty());
}

TEST_CASE("a target's own catalogue belongs to it") {
  scratch_folder const folder;
  auto const file =
      folder.write("unix/unix.toml",
                   "catalogue = \"devices.toml\"\n" + minimal("unix") +
                       "[[device]]\nname = \"a\"\nprovides = \"kv\"\ntype = \"a\"\nheader = \"a.hpp\"\n");
  folder.write(
      "unix/devices.toml",
      "[[device]]\nname = \"b\"\nprovides = \"kv\"\ntype = \"b\"\nheader = \"b.hpp\"\ntargets = [\"*\"]\n");
  auto const read = read_target(file);
  INFO(complaints(read));
  REQUIRE(read);
  REQUIRE(read->devices.devices.size() == 2);
  CHECK(read->devices.devices[0].targets == std::vector<std::string>{"unix"});
  CHECK(read->devices.devices[1].targets == std::vector<std::string>{"*"});
  std::filesystem::remove(folder.path() / "unix/devices.toml");
  CHECK(complaints(read_target(file)) ==
        "0:0+1 unreadable-file: cannot read the file: it does not exist\n"
        "  note (0:0): named as the `catalogue` of this target\n"
        "  help: create it, or correct its name\n");
}

TEST_CASE("plugins are searched in the project, the environment, the user's and the system's folders") {
  isolated const world;
  auto const& base = world.folder;
  base.write("app/plugins/mine/mine.toml", minimal("mine"));
  base.write("one/first/first.toml", minimal("first"));
  base.write("second/second.toml", minimal("second"));
  base.write("user/morgana/plugins/unix/unix.toml", "broken");
  base.write("system/plugins/unix/unix.toml", minimal("unix"));
  base.write("system/plugins/xen/x86_64.toml", minimal("xen-x86_64"));
  base.write("system/plugins/xen/armv7.toml", minimal("xen-armv7"));
  base.write("system/plugins/xen/devices.toml", "");
  base.write("system/plugins/api/include/plugin.h", "");
  base.write("system/plugins/README", "");
  auto const root = base.path().string();
  environment_variable const path("MORGANA_PLUGIN_PATH",
                                  (root + "/one::" + root + "/second/:" + root + "/gone").c_str());

  using origin = plugin_search_entry::origin;
  auto const search = plugin_search_path(base.path() / "app");
  REQUIRE(search.size() == 6);
  std::string shown;
  for (auto const& entry : search) {
    shown += std::to_string(static_cast<int>(entry.from)) + " " + entry.folder.string().substr(root.size()) +
             (entry.exists ? "" : " (none)");
    for (auto const& name : entry.found) shown += " " + name;
    shown += "\n";
    CHECK(entry.found.size() == entry.files.size());
  }
  CHECK(shown ==
        "0 /app/plugins mine\n"
        "1 /one first\n"
        "1 /second second\n"
        "1 /gone (none)\n"
        "2 /user/morgana/plugins unix\n"
        "3 /system/plugins unix xen-armv7 xen-x86_64\n");
  CHECK(search[0].from == origin::project);
  CHECK(search[5].from == origin::system);

  auto const found = find_target("xen-armv7", base.path() / "app");
  REQUIRE(found);
  CHECK(found->file == base.path() / "system/plugins/xen/armv7.toml");
  CHECK(find_target("mine", base.path() / "app"));
  CHECK(find_target("second", base.path() / "app"));

  SECTION("the first of a name counts, even when it is broken") {
    auto const broken_one = find_target("unix", base.path() / "app");
    REQUIRE_FALSE(broken_one);
    CHECK(broken_one.error()[0].code == "wrong-toml");
    CHECK(broken_one.error()[0].where->file == base.path() / "user/morgana/plugins/unix/unix.toml");
    diagnostics broken;
    std::string names;
    for (auto const& one : all_targets(base.path() / "app", broken)) names += one.name + " ";
    CHECK(names == "first mine second xen-armv7 xen-x86_64 ");
    CHECK(broken.size() == 1);
  }
}

TEST_CASE("an unknown target lists the plugins there are, where was looked, and the nearest") {
  isolated const world;
  world.folder.write("system/plugins/unix/unix.toml", minimal("unix"));
  world.folder.write("system/plugins/sim/sim.toml", minimal("sim"));
  std::filesystem::create_directories(world.folder.path() / "app/plugins");
  auto const root = world.folder.path().string();
  CHECK(complaints(find_target("unxi", world.folder.path() / "app")) ==
        "- unknown-target: there is no target `unxi`\n"
        "  note: looked in " +
            root +
            "/app/plugins: no plugins\n"
            "  note: looked in " +
            root +
            "/user/morgana/plugins: no such folder\n"
            "  note: looked in " +
            root +
            "/system/plugins: sim, unix\n"
            "  help: did you mean `unix`?\n"
            "  help: the targets are `sim`, `unix`\n"
            "  help: `morgana plugin list --why` shows where plugins are looked for; `morgana plugin new` "
            "makes one\n");
}

TEST_CASE("a name that is a path finds no target") {
  isolated const world;
  world.folder.write("system/plugins/unix/unix.toml", minimal("unix"));
  CHECK_FALSE(find_target("../plugins/unix", {}));
  CHECK_FALSE(find_target("", {}));
}

TEST_CASE("without XDG_DATA_HOME the user's plugins are below HOME") {
  isolated const world;
  environment_variable const none("XDG_DATA_HOME", "relative/is/ignored");
  environment_variable const home("HOME", "/home/somebody");
  auto const search = plugin_search_path({});
  REQUIRE(search.size() == 2);
  CHECK(search[0].folder == "/home/somebody/.local/share/morgana/plugins");
}

TEST_CASE("data is found beside the executable's folder, or where MORGANA_HOME says") {
  {
    environment_variable const home("MORGANA_HOME", nullptr);
    auto const folder = data_folder();
    CHECK(folder.filename() == "morgana");
    CHECK(folder.parent_path().filename() == "share");
    // The build tree links what an installation copies.
    CHECK(std::filesystem::is_directory(folder / "plugins"));
  }
  environment_variable const home("MORGANA_HOME", "/somewhere/else/");
  CHECK(data_folder() == "/somewhere/else/");
}

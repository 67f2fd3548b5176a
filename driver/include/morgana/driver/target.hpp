// Targets: what a target plugin says of itself, and how plugins are found.
//
// A plugin is a folder named as its target that holds NAME.toml and, only where data is not enough, one
// shared library (plugins/api). A folder of several targets, xen/x86_64.toml and xen/armv7.toml but no
// xen/xen.toml, holds "xen-x86_64" and "xen-armv7"; a file devices.toml is never a target. Everything a
// plugin names is relative to its own folder.
//
//   schema = 1
//   name = "unix"
//   summary = "A process of this host"
//   default = true                             # used when no target is named; one plugin should say so
//   tier = 1                                   # 1 tested at every landing, 2 built, 3 community
//   api = [1, 0]                               # major, minor of the plugin interface it was written for
//   library = "libunix.so"                     # optional: the shared library with morgana_plugin_entry
//   triple = "x86_64-linux-gnu"                # or "host"
//
//   [guest]
//   platform_api = 1                           # morgana::platform::api_version it implements
//   sources = ["../../targets/unix/*.cpp"]
//   hot = []                                   # of them, as in a recipe (recipe.hpp)
//   include = ["../../targets/unix/include"]
//   link_script = "..."                        # optional
//   packages = ["morgana-core"]                # always part of an image
//
//   [compile]   flags = [], c_flags = [], cxx_flags = []
//               hot_flags = []                 # after all others, for what recipes call hot, and the application
//               sysroot = []                   # packages that are the C and C++ library; none: the host's
//   [link]      flags = []                     # to clang++; {static?A:B} picks by a boolean setting
//               undefined_help = "..."         # what to do about a symbol that nobody defines here
//   [settings]  static = { type = "boolean", default = "false", help = "..." }
//               memory = { type = "size", default = "256 MiB", help = "..." }
//   [runner]    command = ["unix-runner"]      # relative to the plugin's folder, or found on PATH
//               capabilities = ["console", "exit", "signal", "network.fd", "disk"]
//   [artefacts] image = "{name}", xl = "{name}.xl"
//   [[launch_file]]                            # what another program needs to run the image: written beside it
//               artefact = "xl"                # its file name is the artefact's
//               text = "..."                   # {name} {target} {image} {version} {memory_kib} {memory_mib}
//                                              # {setting.NAME}; {networks} {disks} {options}: for each device that
//                                              # the runner attaches, each boot option, one of these:
//               network = "...", disk = "..."  # {name}, {slot} (0, 1, ...), {letter} (a, b, ...)
//               option = "..."                 # {name}, {default}, {help}
//   [debug]     command = ["gdb", ...]         # words with {image} {debug} {name} {socket} in them; {commands} and
//                                              # {arguments} alone are several words
//               waits = true                   # the runner is to start the guest stopped, a debugger's server on
//                                              # the socket that the setting `debug_socket` names
//               by_hand = ["..."]              # what starts it so without the runner
//   [requires]  tools = [ { command = "ninja", package = "ninja-build", why = "..." } ]
//   [limits]    devices = 64
//   [exit_codes] panic = 70                    # only what differs from docs/exit-codes.md
//   [[device]]  ...                            # its catalogue (catalogue.hpp), or catalogue = "devices.toml"
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

/// The plugin interface this driver speaks (plugins/api/include/morgana/plugin/plugin.h).
inline constexpr std::uint32_t plugin_api_major = 1;
inline constexpr std::uint32_t plugin_api_minor = 0;

/// The platform interface of the runtime that comes with this driver (morgana::platform::api_version).
inline constexpr int platform_api_version = 1;

struct required_tool {
  std::string command, package, why;
};

/// A file that describes the image to another program (xl, libvirt): a text with holes.
struct launch_file {
  located_string artefact;
  located_string text;
  std::optional<located_string> network = std::nullopt, disk = std::nullopt, option = std::nullopt;
};

/// How a debugger gets to a guest.
struct debugger {
  std::vector<std::string> command, by_hand;
  bool waits = false;
};

struct target {
  std::string name, summary;
  int tier = 3;
  bool is_default = false;                   ///< what is configured when no target was named
  std::uint32_t api_major = 0, api_minor = 0;
  std::filesystem::path folder, file;
  std::optional<std::filesystem::path> library;  ///< folder / what the file says
  std::string triple;

  int platform_api = 0;
  std::vector<std::string> guest_sources, guest_hot, guest_include;  ///< relative to folder
  std::vector<std::string> guest_packages;
  std::optional<std::filesystem::path> link_script;  ///< folder / what the file says

  std::vector<std::string> flags, c_flags, cxx_flags, hot_flags, link_flags;
  std::string undefined_help;                ///< said of an undefined symbol that a host would have
  std::vector<std::string> sysroot;          ///< packages that are the C and C++ library; empty: the host's
  std::map<std::string, setting_declaration> settings;
  std::vector<std::string> runner;
  std::vector<std::string> capabilities;
  std::map<std::string, std::string> artefacts;
  std::vector<launch_file> launch_files;
  debugger debug;
  std::vector<required_tool> tools;
  std::map<std::string, std::uint64_t> limits;
  std::map<std::string, std::uint64_t> exit_codes;
  catalogue devices;                                    ///< without `targets` where the file has none
  std::optional<std::filesystem::path> catalogue_file;  ///< folder / `catalogue`; read_target adds it
};

/// Errors: `wrong-toml`, `unknown-name`, `wrong-value`, `missing-name`, `plugin-api` (a major version this
/// driver does not speak; both numbers), `platform-api` (both numbers), `placeholder` (a {SETTING?A:B} in a
/// flag whose SETTING is no boolean setting), `target-schema`. Reads no other file.
[[nodiscard]] outcome<target> parse_target(std::string_view text, std::filesystem::path const& file);

/// Reads a target's file and the catalogue that it names, merged into `devices` as the target's own.
/// Errors: those of parse_target and parse_catalogue, `unreadable-file`.
[[nodiscard]] outcome<target> read_target(std::filesystem::path const& file);

/// A folder that was looked in, in search order, and what was found there.
struct plugin_search_entry {
  enum class origin { project, environment, user, system } from;
  std::filesystem::path folder;
  bool exists = false;
  std::vector<std::string> found;            ///< target names, those shadowed by an earlier folder included
  std::vector<std::filesystem::path> files;  ///< the file of each
};

/// Where plugins are searched: APP/plugins, each folder of MORGANA_PLUGIN_PATH (a folder of plugins, or one
/// plugin's own folder), $XDG_DATA_HOME/morgana/plugins, and the tool's own share/morgana/plugins.
[[nodiscard]] std::vector<plugin_search_entry> plugin_search_path(std::filesystem::path const& application);

/// Finds one. Errors: `unknown-target` (the plugins there are, and where was looked; nearest), those of
/// parse_target.
[[nodiscard]] outcome<target> find_target(std::string_view name, std::filesystem::path const& application);

/// All that can be read, first of each name; broken ones come back as diagnostics in `broken`.
[[nodiscard]] std::vector<target> all_targets(std::filesystem::path const& application, diagnostics& broken);

/// share/morgana of this installation or build tree: $MORGANA_HOME itself, else ../share/morgana as seen from
/// the folder of the executable (bin/, tests/, or one below), else from that of the library that holds this
/// code (Python's executable is not ours). When none exists, the place where it would be.
[[nodiscard]] std::filesystem::path data_folder();

}  // namespace morgana::driver

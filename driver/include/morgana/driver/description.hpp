// The description of an application: what unikernel.toml says.
//
//   name = "website"                      # required; [a-z][a-z0-9-]*, at most 63
//   entry = "unikernel.hpp"               # default; the header that holds start()
//   sources = ["src/*.cpp"]               # further C++ sources, globs relative to the folder
//   include = ["include"]                 # further include folders
//   packages = ["morgana-http", "zlib >= 1.2"]
//   repositories = ["overlay"]            # folders of recipes, searched before the built-in ones
//   catalogues = ["devices.toml"]         # [[device]] entries of the application's own
//   help = false                          # the image has no texts of --help
//
//   [devices.htdocs]                      # by the parameter's name
//   use = "embedded"                      # which implementation, where there is a choice
//   folder = "htdocs"                     # configure choices of that implementation
//
//   [choices.morgana-http]                # by a package's name: what the image has of it
//   parser = false
//
//   [options]                             # options of start() (or of a device: "network.port") fixed at
//   port = 8080                           # configure time: they become constexpr
//
//   [target.unix]                         # what holds for one target only; also .devices and .options
//   memory = "64 MiB"                     # limit; also: static = true, and what the target's plugin declares
//
//   [budgets]                             # a build that exceeds one fails
//   image = "256 KiB"
//
// Reading is strict: a key that does not exist is an error with the nearest one that does. Everything keeps
// its place for later errors. Nothing here reads another file than the one named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

/// [devices.NAME]: the choice of an implementation and its configure-time settings.
struct device_choice {
  located_string parameter;                 ///< NAME, the name of a parameter of start()
  std::optional<located_string> use;        ///< implementation name, see catalogue.hpp
  setting_map settings;
};

/// [choices.NAME]: what the image has of a package, see recipe.hpp.
struct package_choice {
  located_string package;
  setting_map settings;
};

/// [target.NAME], merged over the general part when that target is configured.
struct target_section {
  located_string target;
  std::map<std::string, device_choice> devices;
  setting_map options;
  setting_map settings;                     ///< every other key; the target's plugin says which exist
};

struct description {
  std::filesystem::path folder;             ///< absolute
  std::filesystem::path file;               ///< folder / "unikernel.toml"
  located_string name;
  located_string entry;                     ///< relative to folder
  std::vector<located_string> sources;
  std::vector<located_string> include;
  std::vector<located_string> packages;     ///< requirements, see recipe.hpp
  std::vector<located_string> repositories;
  std::vector<located_string> catalogues;
  bool help = true;                         ///< whether the image has the texts of --help
  std::map<std::string, device_choice> devices;
  std::map<std::string, package_choice> package_choices;
  setting_map options;
  std::map<std::string, target_section> targets;
  setting_map budgets;
};

/// Reads a description from text; `file` is only named in places.
/// Errors: `wrong-toml` (syntax), `unknown-name` (key, with the nearest), `wrong-value` (type or form),
/// `missing-name`.
[[nodiscard]] outcome<description> parse_description(std::string_view text, std::filesystem::path const& file);

/// Finds and reads the description at `path`: a folder that holds unikernel.toml, or the file itself.
/// Errors: those above and `no-description` (says where it looked, and `morgana new`).
[[nodiscard]] outcome<description> read_description(std::filesystem::path const& path);

/// Bytes from "64 MiB", "100 KiB", "1 GiB", "4096". Powers of two with their binary prefix only.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace morgana::driver

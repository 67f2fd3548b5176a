// Generated sources: pure functions from what was resolved to text. What they write is meant to be read:
// docs/generated-main.md explains an example line by line.
//
//   options_input options{...};
//   auto table = arrange_options(options);              // which option belongs to whom, which are fixed
//   auto text = main_source({.needs = &needs, .graph = &graph, .options = &*table, ...});
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/graph.hpp"
#include "morgana/driver/requirements.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

/// One boot option of the image, as typed after `--`.
struct image_option {
  std::string name;                          ///< "port", "network.port"
  option_field field;
  /// Configured value, when it was fixed at configure time: it is then no boot option.
  std::optional<setting> fixed = std::nullopt;
};

/// The options of one object: the application's, or one device's.
struct option_group {
  std::string member;                        ///< of the generated boot_options: "app", or a node's name
  std::string type;                          ///< declared C++ type
  std::optional<std::size_t> node = std::nullopt;  ///< index into the graph; none: the application's
  bool generic = false;                      ///< start() takes option_set<...>: fixed ones become constexpr
  std::vector<image_option> options = {};
};

struct option_table {
  std::vector<option_group> groups;
  std::vector<std::string> left_out = {};    ///< names of options that a choice of what the image has took away
};

struct options_input {
  requirements const* needs = nullptr;
  device_graph const* graph = nullptr;
  /// Option struct of each node, empty where it has none; as many as nodes.
  std::vector<std::optional<option_struct>> devices = {};
  /// [options] of the description and --NAME=VALUE of the command line, the latter winning.
  setting_map fixed = {};
  /// Further names that exist and may be suggested for a wrong one: device settings ("htdocs.folder").
  std::vector<std::string> other_names = {};
};

/// Errors: `unknown-name` (an option that does not exist, with the nearest), `option-value` (a value that its
/// type cannot take, at its place), `option-left-out` (the image was configured without what it is for), `option-not-fixable` (start() takes `options const&`), `option-clash`.
[[nodiscard]] outcome<option_table> arrange_options(options_input const& input);

/// Why a configured value cannot be one of a field: "expected a number from 0 to 65535". Empty when it can, or
/// when only the field's own option_parser can tell.
[[nodiscard]] std::string value_problem(option_field const& field, std::string_view text);

/// What the image has or has not: a variable that the generated main defines.
struct image_constant {
  std::string name;                          ///< without "morgana::"
  std::string value;
  std::string choice, owner;                 ///< whose choice it is: of a device, or of a package
};

/// Values of the choices of packages, by package and choice (recipe.hpp).
using package_choices = std::map<std::string, std::map<std::string, std::string>>;

struct main_input {
  std::string name;                          ///< of the application
  std::string target;
  std::string entry;                         ///< as #include names it
  requirements const* needs = nullptr;
  device_graph const* graph = nullptr;
  option_table const* options = nullptr;
  bool help = true;                          ///< whether the image has the texts of --help
  std::vector<image_constant> constants = {};  ///< of packages; those of devices are in the graph
  /// Folder below which places are named relatively, so that equal inputs in two places give equal text.
  std::filesystem::path base = {};
  std::vector<std::filesystem::path> bases = {};  ///< further ones: data folder, plugin folders
};

/// main.gen.cpp.
[[nodiscard]] std::string main_source(main_input const& input);

/// Text as a C++ string literal, quotes included.
[[nodiscard]] std::string string_literal(std::string_view text);

/// What an image is made of, for morgana::build_info(): sorted by name.
struct linked_package {
  std::string name = {};
  std::string version = {};
  std::string licence = {};
};

struct manifest_input {
  std::string name;                          ///< of the application
  std::string target;
  std::string driver_version;
  device_graph const* graph = nullptr;
  option_table const* options = nullptr;
  std::vector<linked_package> packages = {};
};

/// What an image is and needs, as JSON on one line: `schema`, `name`, `target`, `morgana`; `devices` in the order
/// they connect, with `attached` ("network", "disk") and `slot` (its number among those, from 0) for what the
/// runner attaches; `options` with type and default, or with the value they were given; `packages`.
[[nodiscard]] std::string manifest_text(manifest_input const& input);

/// manifest.gen.cpp: that text as an ELF note, which stays in a stripped image: section .note.morgana, owner
/// "Morgana", type 1. It ends with spaces and one 0, so that no padding follows.
[[nodiscard]] std::string manifest_source(std::string const& text);

/// build_info.gen.cpp. A source of its own, so that an image that does not ask does not carry it.
[[nodiscard]] std::string build_info_source(std::vector<linked_package> packages);

/// A file of a folder that goes into the image (morgana/storage/embedded_store.hpp shows what is written).
struct embedded_file {
  std::string key = {};                      ///< path relative to the folder, with '/'
  std::string name = {};                     ///< as #embed says it
  std::uint64_t size_bytes = 0;
  std::uint64_t content_hash = 0;
};

struct embedded_folder {
  std::vector<embedded_file> files = {};     ///< sorted by key, bytewise
  std::vector<std::string> dependencies = {};  ///< every file and folder that was looked at, for a depfile
};

/// "embedded_htdocs" for the node "htdocs": the table in namespace morgana::app, and its files before .gen.
[[nodiscard]] std::string embed_table(std::string_view node);

/// The header that main.gen.cpp includes.
[[nodiscard]] std::string embed_header(std::string_view table);
/// Table and bytes, the latter by #embed.
[[nodiscard]] std::string embed_source(std::string_view table, embedded_folder const& folder);

/// Reads a folder. Hidden files and links that lead out of it are left out. `folder` is named as it stands in
/// #embed and in dependencies, so a relative one gives relative names.
/// Errors: `no-folder`, `invalid-key` (a name no key can have), `unreadable-file`.
[[nodiscard]] outcome<embedded_folder> read_embedded_folder(std::filesystem::path const& folder);

}  // namespace morgana::driver

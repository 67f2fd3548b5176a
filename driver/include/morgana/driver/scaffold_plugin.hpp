// What `morgana plugin new NAME` writes: a target plugin with guest code, runner and build, which works at
// once.
//
//   auto files = plugin_scaffold("board", data_folder() / "plugins/template");   // a value: --dry-run shows
//   it write_scaffold(*files, "board");
//
// The template is data (plugins/template): files that end in .in, in which @NAME@ and @IDENTIFIER@ are
// replaced, in their paths too.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

struct scaffold_file {
  std::filesystem::path path;  ///< relative
  std::string text;
};

/// The files of a new plugin, sorted by path. @NAME@ becomes the name, @IDENTIFIER@ a C++ identifier made of
/// it. Errors: `wrong-name` (not [a-z][a-z0-9-]*, or longer than 63), `template-missing` (nothing at `from`).
[[nodiscard]] outcome<std::vector<scaffold_file>> plugin_scaffold(std::string_view name,
                                                                  std::filesystem::path const& from);

/// Writes them below `folder`, which must not exist or be empty. Errors: `folder-exists`, `write-failed`.
[[nodiscard]] outcome<void> write_scaffold(std::vector<scaffold_file> const& files,
                                           std::filesystem::path const& folder);

/// Both, from the installed template; gives the paths written, relative to `folder`.
[[nodiscard]] outcome<std::vector<std::filesystem::path>> scaffold_plugin(
    std::string_view name, std::filesystem::path const& folder);

}  // namespace morgana::driver

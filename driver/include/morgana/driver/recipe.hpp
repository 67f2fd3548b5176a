// Recipes: how a source package is fetched, built and used, as data. A repository is a folder of recipes
// (`NAME.toml`, or `NAME/*.toml` for several versions); the built-in one is packages/.
//
//   schema = 1
//   name = "picohttpparser"
//   version = "0+h2o2.2.5"
//   licence = "MIT OR Artistic-1.0-Perl"
//   summary = "HTTP/1.x parser"
//   requires = ["other >= 1.0"]                    # packages
//   targets = ["*"]                                # globs
//
//   [source]                                       # exactly one kind
//   kind = "apt"                                   # a Debian source package, through apt's own mirrors
//   package = "h2o"                                # its name,
//   version = "2.2.5+dfsg2-7"                      # its version,
//   file = "h2o_2.2.5+dfsg2.orig.tar.xz"           # which of its files
//   sha256 = "..."                                 # of that file; checked always
//   kind = "path"                                  # a folder, relative to the recipe; locked as its content hash
//   path = "../runtime/http"
//   kind = "git"
//   url = "..."  revision = "40 hex digits"
//
//   [build]
//   sources = ["deps/picohttpparser/*.c"]          # globs, relative to the source's root
//   patches = ["fix.patch"]                        # relative to the recipe
//   flags = ["-O2"]   c_flags = []   cxx_flags = []
//   include = ["deps/picohttpparser"]              # while it is built itself
//
//   [exports]
//   include = ["deps/picohttpparser"]              # what users see
//   libraries = []                                 # further linker arguments, e.g. ["-lm"]
//   catalogue = "devices.toml"                     # [[device]] entries it contributes
//
// A glob has `*`, `?` and `[...]` within a component and `**` for any number of folders. Every path stays below
// the root it is relative to; only `path` of a source may leave it. Of an archive only the folders that globs and
// include folders name are unpacked (all of it when one names the root, or when there are patches). In a path
// source the folders of the sources, the include folders and the catalogue are the package's content: a header
// that is included from elsewhere in the source is an error, because its change would not be seen.
//
// A requirement is `NAME`, or `NAME OP VERSION` with OP one of = < <= > >=; versions compare as Debian's do.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

inline constexpr int recipe_schema = 1;

struct apt_source { std::string package, version, file, sha256; };
struct path_source { std::filesystem::path path; };
struct git_source { std::string url, revision; };

struct recipe {
  located_string name;
  std::string version;
  std::string licence;
  std::string summary;
  std::vector<located_string> requires_;     ///< requirements on other packages
  std::vector<std::string> targets;
  std::variant<apt_source, path_source, git_source> source;
  std::vector<std::string> sources, patches, flags, c_flags, cxx_flags, include;
  std::vector<std::string> export_include, export_libraries;
  std::optional<std::string> export_catalogue;
  std::filesystem::path file;                ///< of the recipe itself
  std::string sha256;                        ///< of the recipe's text, and its patches when there are any
};

/// Errors: `wrong-toml`, `unknown-name`, `wrong-value`, `missing-name`, `recipe-schema` (both numbers).
[[nodiscard]] outcome<recipe> parse_recipe(std::string_view text, std::filesystem::path const& file);

/// The same for a recipe on disk: reads the file and its patches, which `sha256` then covers. Errors: those, and
/// `unreadable-file`.
[[nodiscard]] outcome<recipe> read_recipe(std::filesystem::path const& file);

/// Negative, 0 or positive as `left` is older, equal or newer, by the rules of Debian versions
/// (deb-version(7): epoch, upstream, revision; `~` sorts before the end).
[[nodiscard]] int compare_versions(std::string const& left, std::string const& right);

/// `NAME OP VERSION`, taken apart. Errors: `wrong-value`.
struct package_requirement {
  std::string name;
  enum class relation { any, equal, less, less_equal, greater, greater_equal } op = relation::any;
  std::string version;
};
[[nodiscard]] outcome<package_requirement> parse_requirement(located_string const& text);

}  // namespace morgana::driver

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
//   hot = ["deps/picohttpparser/*.c"]              # globs of sources that run for each packet, request or block:
//                                                  # targets that compile for size compile these for speed
//   include = ["deps/picohttpparser"]              # while it is built itself
//   toolchain = "target"                           # "own": none of the target's flags, only the recipe's
//
//   [exports]
//   include = ["deps/picohttpparser"]              # what users see
//   cxx_include = []                               # what only their C++ sees, before the former
//   flags = []                                     # of a sysroot: what everything is compiled with
//   libraries = []                                 # further linker arguments, e.g. ["-lm"]
//   catalogue = "devices.toml"                     # [[device]] entries it contributes
//
//   [choices.gzip]                                 # what an image has of it: `gzip = false` of [choices.NAME] in
//   type = "boolean"                               # unikernel.toml, or --NAME.gzip=false
//   default = "true"
//   constant = "http::features::gzip"              # as a device's choices have (catalogue.hpp)
//   help = "Answers in gzip"
//
// Larger packages have more (docs/recipes.md tells it with examples): further archives of sources ([[additional]]),
// a Debian series of patches, files that are made before anything is compiled ([[file]]), several libraries
// ([[archive]]), and values that differ by architecture ([architecture.NAME], used as `{VALUE}`).
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

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

inline constexpr int recipe_schema = 1;

struct apt_source { std::string package, version, file, sha256; };
struct path_source { std::filesystem::path path; };
struct git_source { std::string url, revision; };

/// Flags of some sources only.
struct file_flags { std::vector<std::string> files, flags; };

/// A library that a package gives: lib NAME .a.
struct recipe_archive {
  std::string name;
  std::vector<std::string> sources;          ///< globs
  std::vector<std::string> exclude;          ///< globs of what is not a source after all
  /// Globs of sources in a folder of their own that replace the one of the same stem in the folder above:
  /// `string/arm/memcpy.S` replaces `string/memcpy.c`. What is excluded replaces nothing.
  std::vector<std::string> overrides;
  std::vector<std::string> flags, c_flags, cxx_flags, include;   ///< after those of [build]
  std::vector<file_flags> more;              ///< after those
};

/// A file or folder of the unpacked source that is made once, before anything is compiled.
struct recipe_file {
  enum class way {
    text,                                    ///< its content is in the recipe
    own,                                     ///< a file that lies beside the recipe
    copy,                                    ///< a file or folder of the source
    edit,                                    ///< files of the source, one after another, through sed
  } how = way::text;
  std::string to;
  std::string text;                          ///< text: the content; edit: sed's script, when it is in the recipe
  std::vector<std::string> from;             ///< own, copy: one; edit: the input, which may be `to` itself
  std::string script;                        ///< edit: a file of the source that is sed's script
  std::vector<std::string> exclude;          ///< copy: globs below the folder
};

/// Another archive that is unpacked into a folder of the source.
struct additional_source {
  apt_source what;
  std::string into;
};

struct recipe {
  located_string name;
  std::string version;
  std::string licence;
  std::string summary;
  std::vector<located_string> requires_;     ///< requirements on other packages
  std::vector<std::string> targets;
  std::variant<apt_source, path_source, git_source> source;
  std::vector<std::string> members;          ///< what is unpacked of an archive; empty: what the rest names
  std::vector<additional_source> additional;
  std::vector<std::string> sources, hot, patches, flags, c_flags, cxx_flags, include;
  std::optional<std::string> series;         ///< a file of the source that lists patches beside it
  std::vector<recipe_file> files;
  std::vector<recipe_archive> archives;      ///< when empty, `sources` make one that is called as the package
  /// Whose flags come first: sources of a sysroot are compiled in one way for all targets.
  enum class flags_of { target, own } toolchain = flags_of::target;
  /// Values of `{NAME}` in paths and flags, by architecture. A text is a list of one.
  std::map<std::string, std::map<std::string, std::vector<std::string>>> architectures;
  std::string architecture;                  ///< the one whose values were filled in; empty when it makes no difference
  std::vector<std::string> export_include, export_cxx_include, export_flags, export_libraries;
  std::optional<std::string> export_catalogue;
  std::map<std::string, setting_declaration> choices;   ///< each a constant of the image
  std::filesystem::path file;                ///< of the recipe itself
  std::string sha256;                        ///< of the recipe's text, and of the files beside it that it names
  std::string beside_sha256;                 ///< of those files only: patches and own files
};

/// The recipe for one architecture: every `{NAME}` filled in. A recipe that knows no architectures is returned as it
/// is. Errors: `package-architecture` (those it knows), `wrong-value` (a value that leads out of the source).
[[nodiscard]] outcome<recipe> for_architecture(recipe what, std::string const& architecture);

/// Its libraries, that of `sources` included; for flags of [build] see the recipe.
[[nodiscard]] std::vector<recipe_archive> archives_of(recipe const& what);

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

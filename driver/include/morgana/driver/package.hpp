// The package engine: from requirements to built, content-addressed packages.
//
//   solve → fetch → (headers are there: requirements can be parsed) → place → build
//
// Solving uses libsolv: every version of every recipe in every repository is a candidate, what is locked
// wins, and a conflict is explained. Fetching goes through apt's own mirrors, a folder, or git, and checks
// the hash always; it is offline once done. Placing says where each package lies once it is built, so that a
// build can be planned before anything is compiled. Building compiles a package once for one set of flags
// into the store: $XDG_CACHE_HOME/morgana/store/NAME-VERSION-KEY, whose KEY is the hash of everything that
// went in (recipe, source, patches, flags, compiler, the exported headers of its dependencies). A store entry
// is written beside its place and renamed, so that a broken build or two builds at once never leave half an
// entry.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "morgana/driver/lock.hpp"
#include "morgana/driver/recipe.hpp"

namespace morgana::driver {

/// A folder of recipes; earlier repositories win over later ones when a version is equal.
struct repository {
  std::string name;              ///< "morgana" for the built-in one, else the folder's name
  std::filesystem::path folder;  ///< where it was read from
  std::string revision;          ///< git revision when it is a clean checkout, else empty
  std::vector<recipe> recipes;
};

/// Reads every recipe of a folder. Errors: those of parse_recipe; `no-repository`.
[[nodiscard]] outcome<repository> read_repository(std::filesystem::path const& folder, std::string name);

/// A package that was chosen, in dependency order: what it requires comes before it.
struct chosen_package {
  recipe what;
  std::string origin;            ///< repository, "name" or "name@revision"
  std::filesystem::path source;  ///< root of its unpacked, patched source; set by fetch
  std::string source_sha256;     ///< of the archive, or of the folder's content; set by fetch
};

/// Chooses a version of each package that is required, directly or by another: the locked one where it fits,
/// else the newest. To let a package move, erase its entry from `locked` first (`update`). The result depends
/// only on the arguments.
///
/// Errors: `unknown-package` (nearest, and where was looked), `package-conflict` (libsolv's explanation, in
/// the requirements' own words; also for packages that require each other), `package-target` (exists, but not
/// for this target).
[[nodiscard]] outcome<std::vector<chosen_package>> solve(std::vector<repository> const& repositories,
                                                         std::vector<located_string> const& requirements,
                                                         lock_file const& locked, std::string_view target);

/// Called on long work: what is being done, how far (done of total; total 0 when unknown).
using progress = std::function<void(std::string_view what, std::size_t done, std::size_t total)>;

/// Where things are kept. Only these folders are written.
struct package_cache {
  std::filesystem::path root;  ///< $XDG_CACHE_HOME/morgana
  bool offline = false;        ///< never fetch: what is not there is the error `offline`
};

/// Makes `source` of each package available. A path source is used where it is. What an archive or a revision
/// holds must be what the lock says; a path source may change, its new hash goes to the lock.
///
/// Errors: `fetch-failed` (what was tried), `hash-mismatch` (both hashes), `offline`, `patch-failed`,
/// `lock-mismatch` (the lock names another hash), `wrong-value` (an exported folder or catalogue that the
/// source does not have), `missing-tool`, `write-failed`.
[[nodiscard]] outcome<void> fetch(std::vector<chosen_package>& packages, lock_file const& locked,
                                  package_cache const& cache, progress const& report);

/// How guest code is compiled for one target: the same for packages, the target's platform and the app.
struct guest_toolchain {
  std::filesystem::path clang, clangxx, linker, archiver;  ///< absolute
  /// Compiler version text, part of every key; also whatever decides the outcome and is not in a flag's text,
  /// such as the key of the sysroot that a flag names.
  std::string identity;
  std::vector<std::string> flags;  ///< C and C++ and assembler
  std::vector<std::string> c_flags;
  std::vector<std::string> cxx_flags;
  std::vector<std::string> hot_flags = {};  ///< last, for what recipes call hot, and the application
  /// Folders that flags name, by a name that stands for them in keys and in debug information, so that
  /// neither depends on where they lie (`{"sysroot", "/home/me/.cache/..."}`).
  std::map<std::string, std::filesystem::path> roots;
  std::string architecture = {};  ///< "x86_64", "armv7": which values of recipes hold
  /// The packages that are the C and C++ library: they and what they require are compiled without the others,
  /// and all others see their headers. Empty: flags say where such are.
  std::vector<std::string> sysroot = {};
};

/// Fits packages to what they are built for: fills in the values of the toolchain's architecture, and puts the
/// packages of its sysroot first, whose headers all others see. To be called after solve() and before fetch().
/// Errors: those of for_architecture.
[[nodiscard]] outcome<void> fit(std::vector<chosen_package>& packages, guest_toolchain const& toolchain);

/// What the packages of a sysroot want everything to be compiled with, before the flags of the target.
[[nodiscard]] std::vector<std::string> sysroot_flags(std::vector<chosen_package> const& packages,
                                                     guest_toolchain const& toolchain);

/// What users of a built package put on their command lines.
struct built_package {
  std::string name, version, key;
  std::filesystem::path root;     ///< of the store entry
  std::filesystem::path source;   ///< root of its source; `include` lies below it
  std::string prefix;             ///< NAME-VERSION: what `source` is called in debug information and
                                  ///< __FILE__; users map it so too (-ffile-prefix-map=SOURCE=PREFIX)
  std::vector<std::filesystem::path> archives;  ///< lib NAME .a each; none for a header-only package
  std::vector<std::filesystem::path> include;
  std::vector<std::filesystem::path> cxx_include;  ///< for C++ only, before the others
  std::vector<std::string> libraries;
  std::filesystem::path catalogue;  ///< devices it contributes; empty when none
};

/// Where each package lies once it is built, in the same order; compiles nothing and writes nothing to the
/// store. It costs a fraction of a millisecond a package.
///
/// Errors: `package-build` for a recipe none of whose source globs matches a file.
[[nodiscard]] outcome<std::vector<built_package>> place_packages(std::vector<chosen_package> const& packages,
                                                                 guest_toolchain const& toolchain,
                                                                 package_cache const& cache);

/// Builds what the store does not have, with Ninja, and returns what place_packages does. Two processes may
/// build at once: one of them builds an entry, the other waits for it. `jobs` is how many commands run at a
/// time; 0: Ninja's choice.
///
/// Errors: `package-build` (the package, its first compiler error, the full log's path; also for a file
/// outside the package's content, see recipe.hpp), `missing-tool`, `write-failed`.
[[nodiscard]] outcome<std::vector<built_package>> build_packages(std::vector<chosen_package> const& packages,
                                                                 guest_toolchain const& toolchain,
                                                                 package_cache const& cache,
                                                                 progress const& report, unsigned jobs = 0);

/// Include folders of fetched packages as C++ sees them, before anything is built: for parsing the entry point.
/// Users come before what they require, so that a header of the C++ library finds that of the C library after it.
[[nodiscard]] std::vector<std::filesystem::path> source_includes(std::vector<chosen_package> const& packages);

/// Catalogue files of fetched packages, in the same order; those that have none are left out.
[[nodiscard]] std::vector<std::filesystem::path> source_catalogues(
    std::vector<chosen_package> const& packages);

/// What `lock` says when these packages are what `target` uses: their entries are written, and those that no
/// target uses any more are dropped. Nodes, other targets and the toolchain stay.
void record(lock_file& lock, std::string_view target, std::vector<chosen_package> const& packages);

}  // namespace morgana::driver

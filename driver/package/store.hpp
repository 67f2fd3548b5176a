// The content-addressed store: what goes into a key, and where an entry lies.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "morgana/driver/package.hpp"
#include "package/content.hpp"

namespace morgana::driver::package_detail {

/// A library of a package, with its sources as they are.
struct archive_item {
  recipe_archive what;
  std::vector<std::string> sources;  ///< relative to the source's root
  /// Flags of single sources.
  std::map<std::string, std::vector<std::string>> more;
};

/// A package that is to be built or found, with all that decides the outcome.
struct build_item {
  chosen_package const* package = nullptr;
  std::string prefix;         ///< NAME-VERSION
  std::string interface_key;  ///< of what users compile against: its own headers, those of what it requires
  std::string key;
  std::string inputs;           ///< what was hashed, for a reader who asks why two keys differ
  std::filesystem::path entry;  ///< its place in the store
  /// Of a package whose source never changes, sources are looked for only when its entry is not there.
  std::vector<archive_item> archives;
  std::vector<std::size_t> dependencies;  ///< all of them, nearest first, as indices
  package_files files;                    ///< path sources only
};

/// Flags with the folders that they name replaced by what stands for them.
[[nodiscard]] std::string portable(std::string text, guest_toolchain const& toolchain,
                                   package_cache const& cache);

/// Keys of all packages, in their order.
[[nodiscard]] std::vector<build_item> plan_items(std::vector<chosen_package> const& packages,
                                                 guest_toolchain const& toolchain, package_cache const& cache,
                                                 std::map<std::filesystem::path, file_hashes>& hashes);

/// Of one object of a path source: a change of one source compiles that source only.
[[nodiscard]] std::string object_key(build_item const& item, archive_item const& archive,
                                     std::string const& source, guest_toolchain const& toolchain,
                                     package_cache const& cache, std::vector<build_item> const& items,
                                     file_hashes& hashes);

[[nodiscard]] built_package describe_entry(build_item const& item);

}  // namespace morgana::driver::package_detail

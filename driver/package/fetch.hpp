// The ways a source comes here.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "morgana/driver/package.hpp"

namespace morgana::driver::package_detail {

/// NAME-VERSION as a file name, and what its source is called in debug information.
[[nodiscard]] std::string package_prefix(recipe const& what);

/// Of everything in a recipe that decides what its unpacked tree holds, beside the archive itself.
[[nodiscard]] std::string tree_content(recipe const& what);

/// The archive with that hash in the cache, downloaded when it is not there.
[[nodiscard]] outcome<std::filesystem::path> archive_of(recipe const& what, apt_source const& source,
                                                        package_cache const& cache, progress const& report);

/// URLs at which apt's configured mirrors may have a file of a source package.
[[nodiscard]] std::vector<std::string> pool_urls(std::vector<std::string> const& sites,
                                                 std::string const& package, std::string const& file);

/// Folders and files of an archive that a recipe needs; empty: all.
[[nodiscard]] std::vector<std::string> needed_members(recipe const& what);

/// Whether everything in an archive lies in one folder that is not part of the source's names.
enum class archive_layout { one_folder_above, flat };

/// Unpacks what the recipe needs, adds the additional archives (in the recipe's order), patches it and makes
/// its files, into `tree`.
[[nodiscard]] outcome<void> unpack(recipe const& what, std::filesystem::path const& archive,
                                   std::vector<std::filesystem::path> const& additional,
                                   archive_layout layout, std::filesystem::path const& tree);

/// Makes the [[file]]s of a recipe in its unpacked source. Errors: `patch-failed`, `missing-tool`,
/// `write-failed`.
[[nodiscard]] outcome<void> make_files(recipe const& what, std::filesystem::path const& root);

/// A tar file of the revision in `into`.
[[nodiscard]] outcome<void> export_revision(recipe const& what, git_source const& source,
                                            package_cache const& cache, progress const& report,
                                            std::filesystem::path const& into);

[[nodiscard]] std::unexpected<diagnostics> missing_tool(std::string const& command,
                                                        std::string const& debian_package,
                                                        std::string const& why);
[[nodiscard]] std::unexpected<diagnostics> is_offline(recipe const& what, std::string const& missing,
                                                      std::string const& help);

}  // namespace morgana::driver::package_detail

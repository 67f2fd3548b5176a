// Globs of recipes: `*`, `?` and `[...]` within one component of a path, `**` for any number of folders.
// Always relative to a root, never leaving it; what begins with a dot is not matched by a wildcard.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace morgana::driver::package_detail {

/// Relative, without `..`, empty components or control characters; `.` alone is the root itself.
[[nodiscard]] bool stays_inside(std::string_view relative_path);

[[nodiscard]] bool has_wildcard(std::string_view text);

/// The folders before the first component with a wildcard, or before the last component when there is none:
/// "a/b/*.c" → "a/b", "a/b.c" → "a", "*.c" → "".
[[nodiscard]] std::string glob_folder(std::string_view glob);

/// Regular files that match, relative to the root, sorted, each once. A folder that does not exist or cannot
/// be read matches nothing.
[[nodiscard]] std::vector<std::string> expand_glob(std::filesystem::path const& root, std::string_view glob);
[[nodiscard]] std::vector<std::string> expand_globs(std::filesystem::path const& root,
                                                    std::vector<std::string> const& globs);

/// Every regular file below a folder, relative to it, sorted; hidden files and editors' backups are left out.
[[nodiscard]] std::vector<std::string> files_below(std::filesystem::path const& folder);

}  // namespace morgana::driver::package_detail

#include "package/glob.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= path.size();) {
    auto const end = std::min(path.find('/', at), path.size());
    parts.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// Names in one folder, sorted: the order of a directory is the file system's, never ours.
std::vector<fs::directory_entry> listing(fs::path const& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(*at);
  }
  std::ranges::sort(entries, {}, [](auto const& one) { return one.path().filename().string(); });
  return entries;
}

bool is_folder(fs::directory_entry const& entry) {
  std::error_code error;
  return entry.is_directory(error);
}

bool is_file(fs::directory_entry const& entry) {
  std::error_code error;
  return entry.is_regular_file(error);
}

void walk(fs::path const& folder, std::string const& prefix, std::vector<std::string> const& parts,
          std::size_t at, std::vector<std::string>& found) {
  auto const& part = parts[at];
  bool const last = at + 1 == parts.size();
  if (part == "**") {
    if (!last) walk(folder, prefix, parts, at + 1, found);
    for (auto const& entry : listing(folder)) {
      auto const name = entry.path().filename().string();
      if (name.starts_with('.')) continue;
      std::error_code error;
      // A link to a folder is not followed: it may lead back to where we are.
      if (is_folder(entry) && !entry.is_symlink(error))
        walk(entry.path(), prefix + name + "/", parts, at, found);
      else if (last && is_file(entry))
        found.push_back(prefix + name);
    }
    return;
  }
  if (!has_wildcard(part)) {
    fs::directory_entry entry;
    std::error_code error;
    entry.assign(folder / part, error);
    if (error) return;
    if (last && is_file(entry))
      found.push_back(prefix + part);
    else if (!last && is_folder(entry))
      walk(entry.path(), prefix + part + "/", parts, at + 1, found);
    return;
  }
  for (auto const& entry : listing(folder)) {
    auto const name = entry.path().filename().string();
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    if (last && is_file(entry))
      found.push_back(prefix + name);
    else if (!last && is_folder(entry))
      walk(entry.path(), prefix + name + "/", parts, at + 1, found);
  }
}

void collect(fs::path const& folder, std::string const& prefix, std::vector<std::string>& found) {
  for (auto const& entry : listing(folder)) {
    auto const name = entry.path().filename().string();
    if (name.starts_with('.') || name.ends_with('~')) continue;
    std::error_code error;
    if (is_folder(entry)) {
      if (!entry.is_symlink(error)) collect(entry.path(), prefix + name + "/", found);
    } else if (is_file(entry)) {
      found.push_back(prefix + name);
    }
  }
}

}  // namespace

bool stays_inside(std::string_view relative_path) {
  if (relative_path == ".") return true;
  if (relative_path.empty() || relative_path.size() > 4096) return false;
  if (std::ranges::any_of(relative_path, [](char one) { return static_cast<unsigned char>(one) < 0x20; }))
    return false;
  return std::ranges::none_of(components(relative_path),
                              [](auto const& part) { return part.empty() || part == "." || part == ".."; });
}

bool has_wildcard(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

std::string glob_folder(std::string_view glob) {
  std::string folder;
  auto const parts = components(glob);
  for (std::size_t at = 0; at + 1 < parts.size() && !has_wildcard(parts[at]); ++at) {
    if (!folder.empty()) folder += '/';
    folder += parts[at];
  }
  return folder;
}

std::vector<std::string> expand_glob(fs::path const& root, std::string_view glob) {
  std::vector<std::string> found;
  if (!stays_inside(glob)) return found;
  walk(root, "", components(glob), 0, found);
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

std::vector<std::string> expand_globs(fs::path const& root, std::vector<std::string> const& globs) {
  std::vector<std::string> found;
  for (auto const& one : globs) {
    auto more = expand_glob(root, one);
    found.insert(found.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

std::vector<std::string> files_below(fs::path const& folder) {
  std::vector<std::string> found;
  collect(folder, "", found);
  std::ranges::sort(found);
  return found;
}

}  // namespace morgana::driver::package_detail

// Archives: only what a recipe needs is unpacked, because the parser of 300 KB that we want may lie in a
// source package of 20 MB.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "package/fetch.hpp"
#include "package/glob.hpp"
#include "package/process.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver::package_detail {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> tar_call(fs::path const& archive, std::vector<std::string> more) {
  std::vector<std::string> call = {"tar", "--file", archive.string()};
  std::ranges::move(more, std::back_inserter(call));
  return call;
}

// Nearly every archive has one folder that holds everything; its first entry tells.
std::string top_folder(fs::path const& archive) {
  std::string first;
  std::ignore = run_process({.arguments = tar_call(archive, {"--list"}),
                             .folder = {},
                             .environment = {"LC_ALL=C.UTF-8"},
                             .line =
                                 [&](std::string_view line) {
                                   if (first.empty()) first = line;
                                 },
                             .lines_max = 1});
  auto const slash = first.find('/');
  if (slash == std::string::npos || !stays_inside(first.substr(0, slash)) || first.starts_with('.'))
    return {};
  return first.substr(0, slash);
}

process_end extract(fs::path const& archive, fs::path const& into, std::string const& top,
                    std::vector<std::string> const& members) {
  std::vector<std::string> more = {"--extract",   "--no-same-owner", "--no-same-permissions",
                                   "--directory", into.string(),     "--"};
  for (auto const& one : members) more.push_back(top.empty() ? one : top + "/" + one);
  return run_process(
      {.arguments = tar_call(archive, std::move(more)), .folder = {}, .environment = {"LC_ALL=C.UTF-8"}});
}

// The only folder, when there is nothing beside it.
fs::path root_in(fs::path const& folder) {
  fs::path only;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (!only.empty() || !at->is_directory(ignored)) return folder;
    only = at->path();
  }
  return only.empty() ? folder : only;
}

outcome<void> apply_patches(recipe const& what, fs::path const& root) {
  for (auto const& patch : what.patches) {
    auto const file = fs::absolute(what.file.parent_path() / patch);
    auto const run =
        run_process({.arguments = {"patch", "-p1", "--batch", "--forward", "--fuzz=0",
                                   "--no-backup-if-mismatch", "--reject-file=-", "-i", file.string()},
                     .folder = root,
                     .environment = {"LC_ALL=C.UTF-8"}});
    if (!run.started) return missing_tool("patch", "patch", "a recipe has patches");
    if (run.good()) continue;
    return fail({.code = "patch-failed",
                 .message = fmt::format("`{}` does not apply to package `{}` {}", patch, what.name.value,
                                        what.version),
                 .where = source_location{file, 0, 0, 1},
                 .notes = {{fmt::format("patch said: {}", last_lines(run.output, 5))}},
                 .help = {"make the patch again from this version of the source; it is applied with -p1"}});
  }
  return {};
}

}  // namespace

std::vector<std::string> needed_members(recipe const& what) {
  if (!what.patches.empty()) return {};  // they may touch anything
  std::set<std::string> wanted;
  for (auto const& glob : what.sources) wanted.insert(glob_folder(glob));
  wanted.insert(what.include.begin(), what.include.end());
  wanted.insert(what.export_include.begin(), what.export_include.end());
  if (what.export_catalogue) wanted.insert(*what.export_catalogue);
  if (wanted.contains("") || wanted.contains(".")) return {};
  std::vector<std::string> members;
  for (auto const& one : wanted) {
    auto const inside = [&](std::string const& other) { return one.starts_with(other + "/"); };
    if (std::ranges::none_of(wanted, inside)) members.push_back(one);
  }
  return members;
}

outcome<void> unpack(recipe const& what, fs::path const& archive, archive_layout layout,
                     fs::path const& tree) {
  auto staging = staging_folder::make(tree.parent_path());
  if (!staging) return fail(std::move(staging));
  auto const folder = staging->path() / "content";
  if (auto made = make_folder(folder); !made) return made;

  auto const members = needed_members(what);
  bool const flat = layout == archive_layout::flat;
  auto const top = members.empty() || flat ? std::string() : top_folder(archive);
  auto run = extract(archive, folder, top, members);
  auto root = top.empty() ? folder : folder / top;
  if (run.started && !run.good() && !members.empty()) {
    // Something the recipe names is not there under that name: with everything there, the error says which.
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    if (auto made = make_folder(folder); !made) return made;
    run = extract(archive, folder, {}, {});
    root = root_in(folder);
  } else if (members.empty()) {
    root = root_in(folder);
  }
  if (flat) root = folder;
  if (!run.started) return missing_tool("tar", "tar", "sources of packages are archives");
  if (!run.good()) {
    return fail({.code = "fetch-failed",
                 .message = fmt::format("cannot unpack the source of package `{}`: {}", what.name.value,
                                        last_lines(run.output, 1)),
                 .where = what.name.where,
                 .notes = {{fmt::format("the archive is {}", archive.string())}}});
  }
  if (auto patched = apply_patches(what, root); !patched) return patched;
  return move_into_place(root, tree);
}

}  // namespace morgana::driver::package_detail

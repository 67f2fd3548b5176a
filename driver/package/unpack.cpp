// Archives: only what a recipe needs is unpacked, because the parser of 300 KB that we want may lie in a
// source package of 20 MB.
#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "morgana/driver/toml.hpp"
#include "package/fetch.hpp"
#include "package/glob.hpp"
#include "package/process.hpp"
#include "package/sha256.hpp"
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

// A Debian series: a name a line, after which options may follow; `#` opens a comment.
outcome<std::vector<fs::path>> patches_of_series(recipe const& what, fs::path const& root) {
  auto const text = read_text_file(root / *what.series);
  if (!text) {
    return fail(
        {.code = "patch-failed",
         .message = fmt::format("package `{}` has no list of patches `{}`", what.name.value, *what.series),
         .where = what.name.where});
  }
  std::vector<fs::path> files;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    auto name = line.substr(0, line.find_first_of(" \t#"));
    if (name.empty()) continue;
    if (!stays_inside(name)) {
      return fail({.code = "patch-failed",
                   .message = fmt::format("`{}` names `{}`, which is no patch beside it", *what.series, name),
                   .where = what.name.where});
    }
    files.push_back((root / *what.series).parent_path() / name);
  }
  return files;
}

outcome<void> apply_patches(recipe const& what, fs::path const& root) {
  std::vector<fs::path> all;
  if (what.series) {
    auto files = patches_of_series(what, root);
    if (!files) return fail(std::move(files));
    all = *std::move(files);
  }
  for (auto const& patch : what.patches) all.push_back(what.file.parent_path() / patch);
  for (auto const& patch : all) {
    auto const file = fs::absolute(patch);
    auto const run =
        run_process({.arguments = {"patch", "-p1", "--batch", "--forward", "--fuzz=0",
                                   "--no-backup-if-mismatch", "--reject-file=-", "-i", file.string()},
                     .folder = root,
                     .environment = {"LC_ALL=C.UTF-8"}});
    if (!run.started) return missing_tool("patch", "patch", "a recipe has patches");
    if (run.good()) continue;
    return fail({.code = "patch-failed",
                 .message = fmt::format("`{}` does not apply to package `{}` {}", patch.filename().string(),
                                        what.name.value, what.version),
                 .where = source_location{file, 0, 0, 1},
                 .notes = {{fmt::format("patch said: {}", last_lines(run.output, 5))}},
                 .help = {"make the patch again from this version of the source; it is applied with -p1"}});
  }
  return {};
}

std::unexpected<diagnostics> cannot_unpack(recipe const& what, fs::path const& archive,
                                           process_end const& run) {
  return fail({.code = "fetch-failed",
               .message = fmt::format("cannot unpack the source of package `{}`: {}", what.name.value,
                                      last_lines(run.output, 1)),
               .where = what.name.where,
               .notes = {{fmt::format("the archive is {}", archive.string())}}});
}

}  // namespace

std::vector<std::string> needed_members(recipe const& what) {
  if (!what.members.empty()) return what.members;
  if (!what.patches.empty() || what.series || !what.files.empty()) return {};  // they may touch anything
  std::set<std::string> wanted;
  for (auto const& archive : archives_of(what)) {
    for (auto const* globs : {&archive.sources, &archive.overrides}) {
      for (auto const& glob : *globs) wanted.insert(glob_folder(glob));
    }
    wanted.insert(archive.include.begin(), archive.include.end());
  }
  wanted.insert(what.include.begin(), what.include.end());
  wanted.insert(what.export_cxx_include.begin(), what.export_cxx_include.end());
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

std::string tree_content(recipe const& what) {
  sha256 sum;
  auto const add = [&](std::vector<std::string> const& list) {
    sum.add_field(std::to_string(list.size()));
    for (auto const& one : list) sum.add_field(one);
  };
  add(needed_members(what));
  add(what.patches);
  sum.add_field(what.series.value_or(""));
  sum.add_field(what.beside_sha256);
  for (auto const& one : what.additional) add({one.what.sha256, one.into});
  for (auto const& one : what.files) {
    add({std::to_string(static_cast<int>(one.how)), one.to, one.text, one.script});
    add(one.from);
    add(one.exclude);
  }
  return sum.finish();
}

outcome<void> unpack(recipe const& what, fs::path const& archive, std::vector<fs::path> const& additional,
                     archive_layout layout, fs::path const& tree) {
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
  if (!run.good()) return cannot_unpack(what, archive, run);
  for (std::size_t at = 0; at < additional.size(); ++at) {
    auto const beside = staging->path() / fmt::format("additional-{}", at);
    if (auto made = make_folder(beside); !made) return made;
    run = extract(additional[at], beside, {}, {});
    if (!run.good()) return cannot_unpack(what, additional[at], run);
    auto const into = root / what.additional[at].into;
    if (auto made = make_folder(into.parent_path()); !made) return made;
    if (auto moved = move_into_place(root_in(beside), into); !moved) return moved;
  }
  if (auto patched = apply_patches(what, root); !patched) return patched;
  if (auto made = make_files(what, root); !made) return made;
  return move_into_place(root, tree);
}

}  // namespace morgana::driver::package_detail

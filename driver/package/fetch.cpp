// Making sources available.
#include "package/fetch.hpp"

#include <algorithm>
#include <map>
#include <ranges>
#include <system_error>

#include <fmt/format.h>

#include "morgana/driver/toml.hpp"
#include "package/content.hpp"
#include "package/glob.hpp"
#include "package/sha256.hpp"
#include "package/shared_cache.hpp"

namespace morgana::driver {

namespace fs = std::filesystem;
using namespace package_detail;

namespace package_detail {

std::string package_prefix(recipe const& what) {
  auto text = what.name.value + "-" + what.version;
  std::ranges::replace(text, ':', '_');  // an epoch; a colon means something to ninja and make
  return text;
}

std::unexpected<diagnostics> missing_tool(std::string const& command, std::string const& debian_package,
                                          std::string const& why) {
  return fail({.code = "missing-tool",
               .message = fmt::format("`{}` is not there: {}", command, why),
               .help = {fmt::format("apt-get install {}", debian_package)}});
}

std::unexpected<diagnostics> is_offline(recipe const& what, std::string const& missing,
                                        std::string const& help) {
  return fail({.code = "offline",
               .message = fmt::format(
                   "package `{}` needs {}, which is not in the cache, and fetching is switched off",
                   what.name.value, missing),
               .where = what.name.where,
               .help = {help}});
}

}  // namespace package_detail

namespace {

// A version whose content is not what it was when it was locked has been replaced behind our back.
outcome<void> check_lock(chosen_package const& package, lock_file const& locked) {
  auto const entry = locked.packages.find(package.what.name.value);
  if (entry == locked.packages.end() || entry->second.version != package.what.version) return {};
  if (entry->second.sha256.empty() || entry->second.sha256 == package.source_sha256) return {};
  return fail({.code = "lock-mismatch",
               .message = fmt::format("package `{}` {} is not the one that was locked",
                                      package.what.name.value, package.what.version),
               .where = package.what.name.where,
               .notes = {{fmt::format("the lock says       sha256 {}", entry->second.sha256)},
                         {fmt::format("the recipe names it sha256 {}", package.source_sha256)}},
               .help = {fmt::format("find out why it changed; `morgana update {}` accepts it",
                                    package.what.name.value)}});
}

// Everything an archive or revision becomes has its place.
fs::path tree_place(recipe const& what, std::string const& origin, package_cache const& cache) {
  sha256 sum;
  sum.add_field("tree 2");
  sum.add_field(origin);
  sum.add_field(tree_content(what));
  return cache.root / "trees" / (package_prefix(what) + "-" + sum.finish().substr(0, 16));
}

bool is_folder(fs::path const& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

outcome<std::vector<fs::path>> additional_archives(recipe const& what, package_cache const& cache,
                                                   progress const& report) {
  std::vector<fs::path> all;
  for (auto const& one : what.additional) {
    auto archive = archive_of(what, one.what, cache, report);
    if (!archive) return fail(std::move(archive));
    all.push_back(*std::move(archive));
  }
  return all;
}

outcome<void> fetch_apt(chosen_package& package, apt_source const& source, lock_file const& locked,
                        package_cache const& cache, progress const& report) {
  package.source_sha256 = source.sha256;
  if (auto checked = check_lock(package, locked); !checked) return checked;
  auto const tree = tree_place(package.what, source.sha256, cache);
  package.source = tree;
  if (is_folder(tree)) return {};
  auto lock = cache_lock::take(cache, "tree-" + tree.filename().string(), report);
  if (!lock) return fail(std::move(lock));
  if (is_folder(tree)) return {};
  auto archive = archive_of(package.what, source, cache, report);
  if (!archive) return fail(std::move(archive));
  auto additional = additional_archives(package.what, cache, report);
  if (!additional) return fail(std::move(additional));
  if (report) report(fmt::format("unpack {}", source.file), 0, 0);
  return unpack(package.what, *archive, *additional, archive_layout::one_folder_above, tree);
}

outcome<void> fetch_git(chosen_package& package, git_source const& source, lock_file const& locked,
                        package_cache const& cache, progress const& report) {
  auto const tree = tree_place(package.what, source.revision, cache);
  auto const hash_file = fs::path(tree.string() + ".sha256");
  package.source = tree;
  auto const finish = [&]() -> outcome<void> {
    auto hash = read_text_file(hash_file);
    if (!hash) return fail(std::move(hash));
    package.source_sha256 = *hash;
    return check_lock(package, locked);
  };
  if (is_folder(tree)) return finish();
  auto lock = cache_lock::take(cache, "tree-" + tree.filename().string(), report);
  if (!lock) return fail(std::move(lock));
  if (is_folder(tree)) return finish();
  auto staging = staging_folder::make(tree.parent_path());
  if (!staging) return fail(std::move(staging));
  auto const archive = staging->path() / "revision.tar";
  if (auto done = export_revision(package.what, source, cache, report, archive); !done) return done;
  auto additional = additional_archives(package.what, cache, report);
  if (!additional) return fail(std::move(additional));
  auto const unpacked = staging->path() / "tree";
  // The hash of the tree is written before the tree is in its place, so that it is there whenever the tree
  // is.
  auto inner = unpack(package.what, archive, *additional, archive_layout::flat, unpacked);
  if (!inner) return inner;
  sha256 sum;
  for (auto const& file : files_below(unpacked)) {
    sum.add_field(file);
    sum.add_field(sha256_of_file(unpacked / file).value_or("unreadable"));
  }
  if (auto written = write_whole(hash_file, sum.finish()); !written) return written;
  if (auto moved = move_into_place(unpacked, tree); !moved) return moved;
  return finish();
}

outcome<void> fetch_path(chosen_package& package, path_source const& source, package_cache const& cache,
                         std::map<fs::path, file_hashes>& hashes) {
  if (!is_folder(source.path)) {
    return fail({.code = "fetch-failed",
                 .message = fmt::format("the source of package `{}` is no folder: `{}`",
                                        package.what.name.value, source.path.string()),
                 .where = package.what.name.where});
  }
  package.source = fs::absolute(source.path).lexically_normal();
  if (!package.source.has_filename()) package.source = package.source.parent_path();
  auto& known = hashes.try_emplace(package.source, cache, package.source).first->second;
  package.source_sha256 = content_hash(package.what, package.source, known);
  return {};
}

// What others will rely on must be there.
outcome<void> check_exports(chosen_package const& package) {
  auto const wrong = [&](std::string const& what, std::string const& name) -> outcome<void> {
    return fail({.code = "wrong-value",
                 .message = fmt::format("package `{}` exports the {} `{}`, which its source does not have",
                                        package.what.name.value, what, name),
                 .where = package.what.name.where,
                 .notes = {{fmt::format("looked in {}", package.source.string())}}});
  };
  for (auto const* folders : {&package.what.export_cxx_include, &package.what.export_include}) {
    for (auto const& folder : *folders) {
      if (!is_folder(package.source / folder)) return wrong("include folder", folder);
    }
  }
  std::error_code error;
  if (package.what.export_catalogue &&
      !fs::is_regular_file(package.source / *package.what.export_catalogue, error)) {
    return wrong("catalogue", *package.what.export_catalogue);
  }
  return {};
}

}  // namespace

outcome<void> fetch(std::vector<chosen_package>& packages, lock_file const& locked,
                    package_cache const& where, progress const& report) {
  package_cache cache = where;
  cache.root = fs::absolute(where.root).lexically_normal();
  std::map<fs::path, file_hashes> hashes;
  for (auto& package : packages) {
    auto done = outcome<void>();
    if (auto const* apt = std::get_if<apt_source>(&package.what.source)) {
      done = fetch_apt(package, *apt, locked, cache, report);
    } else if (auto const* git = std::get_if<git_source>(&package.what.source)) {
      done = fetch_git(package, *git, locked, cache, report);
    } else {
      done = fetch_path(package, std::get<path_source>(package.what.source), cache, hashes);
    }
    if (done) done = check_exports(package);
    if (!done) return done;
  }
  return {};
}

std::vector<fs::path> source_includes(std::vector<chosen_package> const& packages) {
  std::vector<fs::path> folders;
  for (auto const& one : packages | std::views::reverse) {
    for (auto const* some : {&one.what.export_cxx_include, &one.what.export_include}) {
      for (auto const& folder : *some) {
        auto path = (one.source / folder).lexically_normal();
        if (std::ranges::find(folders, path) == folders.end()) folders.push_back(std::move(path));
      }
    }
  }
  return folders;
}

std::vector<fs::path> source_catalogues(std::vector<chosen_package> const& packages) {
  std::vector<fs::path> files;
  for (auto const& one : packages) {
    if (one.what.export_catalogue)
      files.push_back((one.source / *one.what.export_catalogue).lexically_normal());
  }
  return files;
}

}  // namespace morgana::driver

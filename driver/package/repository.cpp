// Reading a folder of recipes.
#include <algorithm>

#include <fmt/format.h>

#include "morgana/driver/package.hpp"
#include "package/glob.hpp"
#include "package/process.hpp"

namespace morgana::driver {

namespace fs = std::filesystem;
using namespace package_detail;

namespace {

// Only a checkout has a revision; asking git elsewhere would cost a process for nothing.
bool lies_in_checkout(fs::path folder) {
  std::error_code error;
  folder = fs::canonical(folder, error);
  if (error) return false;
  for (;; folder = folder.parent_path()) {
    if (fs::exists(folder / ".git", error)) return true;
    if (folder == folder.parent_path()) return false;
  }
}

// The last commit that touched the folder, not HEAD: a repository within the application's own tree would
// otherwise name a new revision after every commit. Empty when something there is not committed.
std::string clean_revision(fs::path const& folder) {
  if (!lies_in_checkout(folder)) return {};
  auto const dirty = run_process({.arguments = {"git", "status", "--porcelain", "--", "."},
                                  .folder = folder,
                                  .environment = {"GIT_OPTIONAL_LOCKS=0"}});
  if (!dirty.good() || !dirty.output.empty()) return {};
  auto const last = run_process(
      {.arguments = {"git", "log", "-1", "--format=%H", "--", "."}, .folder = folder, .environment = {}});
  auto text = last_lines(last.output, 1);
  return last.good() && text.size() == 40 ? text : std::string();
}

void add(repository& into, fs::path const& file, std::string const& expected_name, diagnostics& problems) {
  auto read = read_recipe(file);
  if (!read) {
    std::ranges::move(read.error(), std::back_inserter(problems));
    return;
  }
  if (read->name.value != expected_name) {
    problems.push_back(
        {.code = "wrong-value",
         .message = fmt::format("a recipe that lies here must be named `{}`, this one is `{}`", expected_name,
                                read->name.value),
         .where = read->name.where,
         .help = {"recipes are found by name: NAME.toml, or NAME/*.toml for several versions"}});
    return;
  }
  auto const same = std::ranges::find_if(into.recipes, [&](recipe const& one) {
    return one.name.value == read->name.value && compare_versions(one.version, read->version) == 0;
  });
  if (same != into.recipes.end()) {
    problems.push_back(
        {.code = "wrong-value",
         .message = fmt::format("version {} of `{}` is there twice", read->version, expected_name),
         .where = read->name.where,
         .notes = {{"the other one is here", same->name.where}}});
    return;
  }
  into.recipes.push_back(std::move(*read));
}

}  // namespace

outcome<repository> read_repository(fs::path const& folder, std::string name) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail({.code = "no-repository",
                 .message = fmt::format("the repository `{}` is no folder: `{}`", name, folder.string()),
                 .help = {"a repository is a folder of recipes, NAME.toml or NAME/*.toml"}});
  }
  repository result;
  result.name = std::move(name);
  result.folder = folder;
  diagnostics problems;
  for (auto const& file : expand_globs(folder, {"*.toml", "*/*.toml"})) {
    auto const slash = file.find('/');
    add(result, folder / file,
        slash == std::string::npos ? fs::path(file).stem().string() : file.substr(0, slash), problems);
  }
  if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));
  result.revision = clean_revision(folder);
  return result;
}

}  // namespace morgana::driver

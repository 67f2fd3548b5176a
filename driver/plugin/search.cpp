#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <system_error>

#include "morgana/driver/target.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

fs::path environment_path(char const* name) {
  auto const* value = std::getenv(name);
  return value && *value ? fs::path(value) : fs::path();
}

/// Names of a folder's entries, sorted: the order of a directory is nobody's choice.
std::vector<fs::path> entries(fs::path const& folder) {
  std::vector<fs::path> result;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    result.push_back(at->path());
  }
  std::ranges::sort(result);
  return result;
}

void add_plugin(fs::path const& folder, plugin_search_entry& into) {
  std::error_code error;
  auto const name = folder.filename().string();
  if (auto const own = folder / (name + ".toml"); fs::is_regular_file(own, error)) {
    into.found.push_back(name);
    into.files.push_back(own);
    return;
  }
  for (auto const& file : entries(folder)) {
    if (file.extension() != ".toml" || file.filename() == "devices.toml" || !fs::is_regular_file(file, error))
      continue;
    into.found.push_back(fmt::format("{}-{}", name, file.stem().string()));
    into.files.push_back(file);
  }
}

plugin_search_entry look_in(fs::path folder, plugin_search_entry::origin from) {
  std::error_code error;
  folder = folder.lexically_normal();
  if (!folder.has_filename() && folder.has_relative_path()) folder = folder.parent_path();
  plugin_search_entry result{from, std::move(folder), false, {}, {}};
  result.exists = fs::is_directory(result.folder, error);
  if (!result.exists) return result;
  auto const own = result.folder / (result.folder.filename().string() + ".toml");
  if (from == plugin_search_entry::origin::environment && fs::is_regular_file(own, error)) {
    add_plugin(result.folder, result);
    return result;
  }
  for (auto const& folder_of_plugin : entries(result.folder)) {
    if (fs::is_directory(folder_of_plugin, error)) add_plugin(folder_of_plugin, result);
  }
  return result;
}

fs::path user_folder() {
  auto base = environment_path("XDG_DATA_HOME");
  // The specification of XDG says to ignore a relative one.
  if (base.is_absolute()) return base / "morgana/plugins";
  auto const home = environment_path("HOME");
  return home.empty() ? fs::path() : home / ".local/share/morgana/plugins";
}

}  // namespace

std::vector<plugin_search_entry> plugin_search_path(fs::path const& application) {
  using origin = plugin_search_entry::origin;
  std::vector<plugin_search_entry> result;
  std::error_code error;
  if (!application.empty())
    result.push_back(look_in(fs::absolute(application, error) / "plugins", origin::project));
  if (auto const* path = std::getenv("MORGANA_PLUGIN_PATH")) {
    std::string_view rest(path);
    while (!rest.empty()) {
      auto const colon = rest.find(':');
      if (auto const one = rest.substr(0, colon); !one.empty()) {
        result.push_back(look_in(fs::absolute(fs::path(one), error), origin::environment));
      }
      rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
  }
  if (auto user = user_folder(); !user.empty()) result.push_back(look_in(std::move(user), origin::user));
  result.push_back(look_in(data_folder() / "plugins", origin::system));
  return result;
}

outcome<target> find_target(std::string_view name, fs::path const& application) {
  auto const path = plugin_search_path(application);
  std::set<std::string> known;
  for (auto const& entry : path) {
    for (std::size_t i = 0; i < entry.found.size(); ++i) {
      if (entry.found[i] == name) return read_target(entry.files[i]);
      known.insert(entry.found[i]);
    }
  }
  diagnostic unknown{.code = "unknown-target", .message = fmt::format("there is no target `{}`", name)};
  for (auto const& entry : path) {
    unknown.notes.push_back(
        {entry.exists ? entry.found.empty() ? fmt::format("looked in {}: no plugins", entry.folder.string())
                                            : fmt::format("looked in {}: {}", entry.folder.string(),
                                                          fmt::join(entry.found, ", "))
                      : fmt::format("looked in {}: no such folder", entry.folder.string())});
  }
  std::vector<std::string> const names(known.begin(), known.end());
  if (auto const near = nearest(name, names))
    unknown.help.push_back(fmt::format("did you mean `{}`?", *near));
  if (!names.empty()) unknown.help.push_back(fmt::format("the targets are `{}`", fmt::join(names, "`, `")));
  unknown.help.emplace_back(
      "`morgana plugin list --why` shows where plugins are looked for; `morgana plugin new` makes one");
  return fail(std::move(unknown));
}

std::vector<target> all_targets(fs::path const& application, diagnostics& broken) {
  std::vector<target> result;
  std::set<std::string> seen;
  for (auto const& entry : plugin_search_path(application)) {
    for (std::size_t i = 0; i < entry.found.size(); ++i) {
      if (!seen.insert(entry.found[i]).second) continue;
      auto one = read_target(entry.files[i]);
      if (one)
        result.push_back(std::move(*one));
      else
        std::ranges::move(one.error(), std::back_inserter(broken));
    }
  }
  std::ranges::sort(result, {}, &target::name);
  return result;
}

}  // namespace morgana::driver

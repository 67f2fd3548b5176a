// build/morgana.json: what was configured last, and whether anything that decided about it has changed.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "morgana/driver/target.hpp"
#include "morgana/driver/workspace.hpp"
#include "workspace/files.hpp"
#include "workspace/state.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int state_schema = 2;

/// FNV-1a, 64 bits: stamps are compared with earlier ones of this machine, nobody attacks them.
class hasher {
 public:
  void add(std::string_view bytes) {
    for (auto const c : bytes) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    value_ = (value_ ^ 0xffu) * 0x100000001b3u;
  }
  [[nodiscard]] std::string text() const { return fmt::format("{:016x}", value_); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

bool is_wanted(watched_tree const& tree, fs::path const& file) {
  if (tree.extensions.empty()) return true;
  auto const extension = file.extension().string();
  return std::ranges::find(tree.extensions, extension) != tree.extensions.end();
}

std::string stamp_of_file(fs::path const& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return "missing";
  return fmt::format("{} {}.{} {}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                     status.st_ino);
}

/// Folders of more entries than this are not an application's sources.
constexpr std::size_t entries_max = 200'000;

void walk(watched_tree const& tree, fs::path const& folder, std::vector<std::string>& lines) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    auto const& path = at->path();
    auto const name = path.filename().string();
    if (name.starts_with('.') || lines.size() > entries_max) continue;
    std::error_code ignored;
    if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
      if (std::ranges::find(tree.skip, path) == tree.skip.end()) walk(tree, path, lines);
    } else if (is_wanted(tree, path)) {
      lines.push_back(tree.names_only ? path.string() : path.string() + ' ' + stamp_of_file(path));
    }
  }
}

json to_json(watched_tree const& tree) {
  auto skip = json::array();
  for (auto const& folder : tree.skip) skip.push_back(folder.string());
  return {{"root", tree.root.string()},
          {"extensions", tree.extensions},
          {"skip", skip},
          {"names_only", tree.names_only},
          {"stamp", tree.stamp}};
}

watched_tree tree_from(json const& from) {
  watched_tree tree;
  tree.root = from.at("root").get<std::string>();
  tree.extensions = from.at("extensions").get<std::vector<std::string>>();
  for (auto const& folder : from.at("skip")) tree.skip.emplace_back(folder.get<std::string>());
  tree.names_only = from.at("names_only").get<bool>();
  tree.stamp = from.at("stamp").get<std::string>();
  return tree;
}

/// The driver itself: a new one may plan differently.
std::string driver_stamp() {
  return stamp_of_file(driver_program());
}

using text_map = std::map<std::string, std::string>;

}  // namespace

fs::path driver_program() {
  std::error_code error;
  auto const self = fs::read_symlink("/proc/self/exe", error);
  if (!error && self.filename() == "morgana") return self;
  return data_folder().parent_path().parent_path() / "bin" / "morgana";
}

std::map<std::string, std::string> deciding_environment() {
  std::map<std::string, std::string> out;
  for (auto const* name :
       {"MORGANA_HOME", "MORGANA_PLUGIN_PATH", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME", "PATH"}) {
    auto const* value = std::getenv(name);
    out.emplace(name, value != nullptr ? value : "");
  }
  return out;
}

std::string stamp_of(watched_tree const& tree) {
  std::error_code error;
  if (!fs::is_directory(tree.root, error)) return stamp_of_file(tree.root);
  std::vector<std::string> lines;
  walk(tree, tree.root, lines);
  std::ranges::sort(lines);
  hasher hash;
  for (auto const& line : lines) hash.add(line);
  return hash.text();
}

std::string to_text(workspace_state const& state) {
  auto watched = json::array();
  for (auto const& tree : state.watched) watched.push_back(to_json(tree));
  auto packages = json::array();
  for (auto const& place : state.packages) packages.push_back(place.string());
  json const out{
      {"schema", state_schema},       {"driver", driver_stamp()}, {"target", state.target},
      {"name", state.name},           {"options", state.options}, {"environment", state.environment},
      {"artefacts", state.artefacts}, {"budgets", state.budgets}, {"settings", state.settings},
      {"packages", packages},         {"watched", watched}};
  return out.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

std::optional<workspace_state> read_state(fs::path const& build_root) {
  auto const text = read_file(build_root / "morgana.json");
  if (!text) return std::nullopt;
  try {
    auto const from = json::parse(*text);
    if (from.at("schema").get<int>() != state_schema) return std::nullopt;
    workspace_state state;
    state.target = from.at("target").get<std::string>();
    state.name = from.at("name").get<std::string>();
    state.options = from.at("options").get<text_map>();
    // Another driver plans again: an environment that never matches says so.
    state.environment = from.at("environment").get<text_map>();
    if (from.at("driver").get<std::string>() != driver_stamp()) state.environment["driver"] = "changed";
    state.artefacts = from.at("artefacts").get<text_map>();
    state.budgets = from.at("budgets").get<text_map>();
    state.settings = from.at("settings").get<text_map>();
    for (auto const& place : from.at("packages")) state.packages.emplace_back(place.get<std::string>());
    for (auto const& tree : from.at("watched")) state.watched.push_back(tree_from(tree));
    return state;
  } catch (json::exception const&) {
    // Half-written or edited: as if nothing had been configured.
    return std::nullopt;
  }
}

bool is_current(workspace_state const& state) {
  if (state.environment != deciding_environment()) return false;
  return std::ranges::all_of(state.watched, [](auto const& tree) { return stamp_of(tree) == tree.stamp; });
}

bool has_packages(workspace_state const& state) {
  return std::ranges::all_of(state.packages, [](auto const& place) {
    std::error_code error;
    return fs::exists(place, error);
  });
}

fs::path artefact(workspace_state const& state, fs::path const& build_root, std::string const& name) {
  auto const found = state.artefacts.find(name);
  return build_root / state.target / (found != state.artefacts.end() ? found->second : name);
}

}  // namespace morgana::driver

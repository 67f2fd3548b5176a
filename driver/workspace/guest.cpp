#include "workspace/guest.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include "package/glob.hpp"
#include "package/sha256.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// The folder that holds both.
fs::path common_folder(fs::path const& left, fs::path const& right) {
  fs::path out;
  auto at = right.begin();
  for (auto const& part : left) {
    if (at == right.end() || *at != part) break;
    out /= part;
    ++at;
  }
  return out;
}

fs::path absolute_below(fs::path const& folder, std::string const& name) {
  auto path = (folder / name).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

/// The folder under which all guest code of a target lies: its sources point out of the plugin's folder.
fs::path guest_root(target const& on) {
  fs::path root;
  auto add = [&](fs::path const& folder) { root = root.empty() ? folder : common_folder(root, folder); };
  for (auto const& source : on.guest_sources) {
    add(absolute_below(on.folder, package_detail::glob_folder(source)));
  }
  for (auto const& include : on.guest_include) add(absolute_below(on.folder, include));
  return root.empty() ? on.folder : root;
}

/// "armv7a-linux-musleabihf" is "armv7": what a recipe calls it.
std::string architecture_of(std::string const& triple) {
  auto name = triple.substr(0, triple.find('-'));
  if (triple == "host" || triple.empty()) {
    utsname host{};
    if (::uname(&host) == 0) name = host.machine;
  }
  return name.starts_with("armv7") ? "armv7" : name;
}

std::string replace_name(std::string text, std::string const& name) {
  constexpr std::string_view hole = "{name}";
  for (auto at = text.find(hole); at != std::string::npos; at = text.find(hole, at + name.size())) {
    text.replace(at, hole.size(), name);
  }
  return text;
}

}  // namespace

void set_guest_flags(configuration& what) {
  auto& tools = what.toolchain;
  tools.architecture = architecture_of(what.on.triple);
  tools.sysroot = evaluate_flags(what.on.sysroot, what.settings);
  tools.flags = evaluate_flags(what.on.flags, what.settings);
  if (what.on.triple != "host" && !what.on.triple.empty()) {
    tools.flags.insert(tools.flags.begin(), "--target=" + what.on.triple);
  }
  tools.c_flags = evaluate_flags(what.on.c_flags, what.settings);
  tools.cxx_flags = evaluate_flags(what.on.cxx_flags, what.settings);
  tools.hot_flags = evaluate_flags(what.on.hot_flags, what.settings);
}

std::vector<std::string> parse_flags(configuration const& what) {
  auto out = what.toolchain.flags;
  out.insert(out.end(), what.toolchain.cxx_flags.begin(), what.toolchain.cxx_flags.end());
  return out;
}

std::vector<fs::path> guest_includes(target const& on) {
  std::vector<fs::path> out;
  for (auto const& include : on.guest_include) out.push_back(absolute_below(on.folder, include));
  return out;
}

chosen_package guest_package(target const& on) {
  chosen_package out;
  auto const root = guest_root(on);
  auto& what = out.what;
  what.name = {.value = "target-" + on.name, .where = source_location{.file = on.file}};
  what.version = std::string(morgana_version);
  what.licence = "see the plugin";
  what.summary = on.summary;
  what.targets = {on.name};
  what.source = path_source{.path = root};
  what.file = on.file;
  for (auto const& name : on.guest_packages) {
    what.requires_.push_back({.value = name, .where = source_location{.file = on.file}});
  }
  auto below = [&](std::string const& name) {
    return (on.folder / name).lexically_normal().lexically_relative(root).generic_string();
  };
  package_detail::sha256 hash;
  for (auto const& source : on.guest_sources) {
    what.sources.push_back(below(source));
    hash.add_field(what.sources.back());
  }
  for (auto const& source : on.guest_hot) {
    what.hot.push_back(below(source));
    hash.add_field("hot " + what.hot.back());
  }
  for (auto const& include : on.guest_include) {
    what.include.push_back(below(include));
    what.export_include.push_back(below(include));
    hash.add_field(what.include.back());
  }
  what.sha256 = hash.finish();
  out.origin = "plugin";
  out.source = root;
  return out;
}

std::vector<fs::path> application_includes(description const& app) {
  std::vector<fs::path> out{app.folder};
  for (auto const& include : app.include) {
    auto folder = absolute_below(app.folder, include.value);
    if (folder != app.folder) out.push_back(std::move(folder));
  }
  return out;
}

std::string image_name(configuration const& what) {
  auto const found = what.on.artefacts.find("image");
  return replace_name(found != what.on.artefacts.end() ? found->second : "{name}", what.app.name.value);
}

std::map<std::string, std::string> artefact_names(configuration const& what) {
  std::map<std::string, std::string> out;
  auto const image = image_name(what);
  for (auto const& [name, text] : what.on.artefacts)
    out.emplace(name, replace_name(text, what.app.name.value));
  out.emplace("image", image);
  out.emplace("debug", image + ".debug");
  out.emplace("map", image + ".map");
  out.emplace("manifest", "manifest.json");
  return out;
}

}  // namespace morgana::driver

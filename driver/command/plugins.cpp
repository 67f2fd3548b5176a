// targets, devices, plugin list, doctor: what there is on this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "command/commands.hpp"
#include "morgana/driver/plugin_library.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string_view origin_text(plugin_search_entry::origin from) {
  switch (from) {
    case plugin_search_entry::origin::project:
      return "the application's plugins";
    case plugin_search_entry::origin::environment:
      return "MORGANA_PLUGIN_PATH";
    case plugin_search_entry::origin::user:
      return "the user's";
    case plugin_search_entry::origin::system:
      return "comes with morgana";
  }
  return "";
}

/// Entries that belong to no target: those of the built-in packages that lie in a folder.
catalogue general_catalogue(diagnostics& broken) {
  catalogue out;
  auto const packages = read_repository(data_folder() / "packages", "morgana");
  if (!packages) {
    broken.insert(broken.end(), packages.error().begin(), packages.error().end());
    return out;
  }
  std::set<fs::path> read;
  for (auto const& what : packages->recipes) {
    auto const* source = std::get_if<path_source>(&what.source);
    if (source == nullptr || !what.export_catalogue) continue;
    auto const file = (what.file.parent_path() / source->path / *what.export_catalogue).lexically_normal();
    if (!read.insert(file).second) continue;
    auto const text = read_text_file(file);
    if (!text) continue;
    auto one = parse_catalogue(*text, file);
    if (one) merge(out, *std::move(one), "*");
  }
  return out;
}

}  // namespace

int targets_command(output& out, place_arguments const& with) {
  diagnostics broken;
  auto const all = all_targets(application_folder(with.path), broken);
  std::string text;
  auto json = ordered_json::array();
  for (auto const& one : all) {
    text += fmt::format("{:<16} tier {}  {}{}\n", one.name, one.tier, one.summary,
                        one.is_default ? " (default)" : "");
    json.push_back({{"name", one.name},
                    {"tier", one.tier},
                    {"summary", one.summary},
                    {"default", one.is_default},
                    {"folder", one.folder.string()}});
  }
  out.result(text, {{"kind", "targets"}, {"targets", json}});
  if (!broken.empty()) return out.report(broken);
  return exit_code::done;
}

int devices_command(output& out, place_arguments const& with) {
  diagnostics broken;
  auto const targets = all_targets(application_folder(with.path), broken);
  auto const general = general_catalogue(broken);
  std::string text;
  auto json = ordered_json::array();
  // concept → lines, so that alternatives stand together.
  std::map<std::string, std::vector<std::string>> by_concept;
  auto add = [&](device const& one, std::string const& where) {
    by_concept[one.provides.value].push_back(fmt::format("  {:<18} {:<14} {}{}\n", one.name.value, where,
                                                         one.help, one.is_default ? " (default)" : ""));
    auto config = ordered_json::object();
    for (auto const& [name, declared] : one.config) config[name] = declared.help;
    json.push_back({{"name", one.name.value},
                    {"provides", one.provides.value},
                    {"targets", where},
                    {"default", one.is_default},
                    {"config", config},
                    {"help", one.help},
                    {"file", one.where.file.string()},
                    {"line", one.where.line}});
  };
  for (auto const& one : general.devices) {
    add(one, one.targets.empty() ? "*" : fmt::format("{}", fmt::join(one.targets, ",")));
  }
  for (auto const& target : targets) {
    if (!with.target.empty() && target.name != with.target) continue;
    for (auto const& one : target.devices.devices) add(one, target.name);
  }
  for (auto const& [name, lines] : by_concept) {
    text += name + '\n';
    for (auto const& line : lines) text += line;
  }
  out.result(text, {{"kind", "devices"}, {"devices", json}});
  if (!broken.empty()) return out.report(broken);
  return exit_code::done;
}

int plugin_list_command(output& out, place_arguments const& with, bool why) {
  auto const folder = application_folder(with.path);
  diagnostics broken;
  auto const all = all_targets(folder, broken);
  std::string text;
  auto json = ordered_json::array();
  for (auto const& one : all) {
    text += fmt::format("{:<16} {:<40} {}\n", one.name, one.summary, one.folder.string());
    json.push_back({{"name", one.name}, {"summary", one.summary}, {"folder", one.folder.string()}});
  }
  ordered_json searched = ordered_json::array();
  if (why) {
    text += "\nlooked for, in this order; the first of a name is taken\n";
    std::set<std::string> taken;
    for (auto const& entry : plugin_search_path(folder)) {
      text += fmt::format("  {} ({}){}\n", entry.folder.string(), origin_text(entry.from),
                          entry.exists ? "" : ": no such folder");
      for (auto const& name : entry.found) {
        text +=
            fmt::format("    {}{}\n", name, taken.insert(name).second ? "" : ", hidden by an earlier one");
      }
      searched.push_back(
          {{"folder", entry.folder.string()}, {"exists", entry.exists}, {"found", entry.found}});
    }
  }
  out.result(text, {{"kind", "plugins"}, {"plugins", json}, {"searched", searched}});
  if (!broken.empty()) return out.report(broken);
  return exit_code::done;
}

int doctor_command(output& out, place_arguments const& with) {
  struct check {
    std::string tool, package, why;
  };
  std::vector<check> wanted{{"clang++-22", "clang-22", "compiles images"},
                            {"ld.lld-22", "lld-22", "links images"},
                            {"llvm-ar-22", "llvm-22", "keeps compiled packages"},
                            {"llvm-objcopy-22", "llvm-22", "strips images"},
                            {"llvm-symbolizer-22", "llvm-22", "names the places of a crash"},
                            {"ninja", "ninja-build", "runs builds"},
                            {"tar", "tar", "unpacks packages"},
                            {"patch", "patch", "patches packages"}};
  diagnostics problems;
  auto const targets = all_targets(application_folder(with.path), problems);
  for (auto const& target : targets) {
    for (auto const& tool : target.tools) {
      auto const known =
          std::ranges::any_of(wanted, [&](auto const& one) { return one.tool == tool.command; });
      if (!known)
        wanted.push_back({tool.command, tool.package, fmt::format("{} ({})", tool.why, target.name)});
    }
  }
  std::string text;
  auto json = ordered_json::array();
  std::set<std::string> packages;
  for (auto const& one : wanted) {
    auto const found = find_tool(one.tool);
    text += fmt::format("{:<8} {:<22} {}\n", found ? "ok" : "MISSING", one.tool,
                        found ? found->string() : one.why);
    json.push_back({{"tool", one.tool}, {"package", one.package}, {"found", found ? found->string() : ""}});
    if (!found) packages.insert(one.package);
  }
  // What cannot be asked of a package manager: headers of the standard library.
  std::error_code ignored;
  auto const libcxx = fs::exists("/usr/lib/llvm-22/include/c++/v1/expected", ignored) ||
                      fs::exists("/usr/include/c++/v1/expected", ignored);
  text += fmt::format("{:<8} {:<22} {}\n", libcxx ? "ok" : "MISSING", "libc++ headers",
                      libcxx ? "" : "C++ library");
  if (!libcxx) packages.insert({"libc++-22-dev", "libc++abi-22-dev"});
  for (auto const& target : targets) {
    auto library = plugin_library::load(target);
    if (!library) {
      problems.insert(problems.end(), library.error().begin(), library.error().end());
    } else if (*library) {
      auto said = check_host(**library, target.name);
      if (said) problems.insert(problems.end(), said->begin(), said->end());
    }
  }
  if (!packages.empty()) {
    text += fmt::format("\ninstall what is missing:\n  sudo apt-get install {}\n", fmt::join(packages, " "));
  }
  out.result(text, {{"kind", "doctor"}, {"tools", json}, {"missing_packages", packages}});
  if (!problems.empty()) out.report(problems);
  return packages.empty() && problems.empty() ? exit_code::done : exit_code::diagnosed;
}

}  // namespace morgana::driver

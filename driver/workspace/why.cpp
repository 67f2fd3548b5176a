// The chain from start() to a device, a package or a linked symbol.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "morgana/driver/answers.hpp"
#include "package/process.hpp"
#include "workspace/files.hpp"
#include "workspace/image_map.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string shown(source_location const& where) {
  std::error_code ignored;
  auto const relative = where.file.lexically_relative(fs::current_path(ignored));
  auto const name = relative.empty() || *relative.begin() == ".." ? where.file.string() : relative.string();
  return where.line == 0 ? name : fmt::format("{}:{}", name, where.line);
}

/// A parameter, a node, an implementation or a concept.
bool is_device(graph_node const& node, std::string const& thing) {
  return node.name == thing || node.implementation.name.value == thing ||
         node.implementation.provides.value == thing ||
         std::ranges::find(node.parameters, thing) != node.parameters.end();
}

answer why_device(configuration const& what, std::string const& thing) {
  std::string text;
  auto json = ordered_json::array();
  for (auto const& node : what.graph.nodes) {
    if (!is_device(node, thing)) continue;
    text += fmt::format("{} is `{}`, which provides {} ({})\n", fmt::join(node.path, " → "),
                        node.implementation.name.value, node.implementation.provides.value,
                        shown(node.implementation.where));
    for (auto const& need : what.needs.devices) {
      if (std::ranges::find(node.parameters, need.name.value) == node.parameters.end()) continue;
      text += fmt::format("  start() asks for `{} auto& {}` at {}\n", need.concept_name.value,
                          need.name.value, shown(need.name.where));
    }
    for (auto const& user : what.graph.nodes) {
      for (auto const& need : user.needs) {
        if (what.graph.nodes[need.node].name == node.name) {
          text += fmt::format("  {} needs it as `{}`\n", user.name, need.name);
        }
      }
    }
    json.push_back(
        {{"name", node.name}, {"implementation", node.implementation.name.value}, {"path", node.path}});
  }
  return {text, {{"kind", "why"}, {"thing", thing}, {"is", "device"}, {"chains", json}}};
}

/// Everything that asks for a package: the target, the application, chosen devices, other packages.
std::vector<std::string> reasons(configuration const& what, std::string const& name) {
  std::vector<std::string> out;
  if (std::ranges::find(what.on.guest_packages, name) != what.on.guest_packages.end()) {
    out.push_back(
        fmt::format("the target {} always has it ({})", what.on.name, shown({.file = what.on.file})));
  }
  if (name == "target-" + what.on.name)
    out.push_back(fmt::format("it is the platform of the target {}", what.on.name));
  for (auto const& one : what.app.packages) {
    if (one.value.substr(0, one.value.find(' ')) == name) {
      out.push_back(fmt::format("unikernel.toml asks for it ({})", shown(one.where)));
    }
  }
  for (auto const& node : what.graph.nodes) {
    auto const& packages = node.implementation.packages;
    if (std::ranges::find(packages, name) != packages.end()) {
      out.push_back(fmt::format("it holds `{}`, which is {}", node.implementation.name.value,
                                fmt::join(node.path, " → ")));
    }
  }
  for (auto const& package : what.packages) {
    for (auto const& one : package.what.requires_) {
      if (one.value.substr(0, one.value.find(' ')) == name) {
        out.push_back(fmt::format("{} requires it", package.what.name.value));
      }
    }
  }
  return out;
}

answer why_package(configuration const& what, chosen_package const& package) {
  auto const& name = package.what.name.value;
  auto const all = reasons(what, name);
  auto text = fmt::format("{} {} from {}\n", name, package.what.version, package.origin);
  for (auto const& reason : all) text += fmt::format("  {}\n", reason);
  return {text, {{"kind", "why"}, {"thing", name}, {"is", "package"}, {"reasons", all}}};
}

/// A demangled name without what nobody types: parameters and unnamed namespaces.
std::string plain_name(std::string name) {
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  for (auto at = name.find(unnamed); at != std::string::npos; at = name.find(unnamed, at)) {
    name.erase(at, unnamed.size());
  }
  return name.substr(0, name.find('('));
}

/// Symbols of the image that the user may mean, as the linker calls them.
std::set<std::string> matching_symbols(std::vector<image_piece> const& pieces, std::string const& thing) {
  std::set<std::string> out;
  for (auto const& piece : pieces) {
    if (piece.linked.empty()) {
      // Written in assembler, or in C without a section of its own: its name is its name.
      if (piece.symbol == thing) out.insert(thing);
      continue;
    }
    auto const name = demangled(piece.linked);
    auto const plain = plain_name(name);
    if (piece.linked == thing || name == thing || plain == thing || plain.ends_with("::" + thing)) {
      out.insert(piece.linked);
    }
  }
  return out;
}

/// "OBJECT:(SYMBOL)" of lld as "SYMBOL in OBJECT".
std::string readable(std::string_view text) {
  auto const colon = text.find(":(");
  if (colon == std::string_view::npos) return std::string(text);
  auto object = std::string(text.substr(0, colon));
  auto rest = std::string(text.substr(colon + 2));
  // The parenthesis of the symbol closes before what lld says of it: " (entry point)".
  std::string remark;
  if (auto const at = rest.rfind(") ("); at != std::string::npos) {
    remark = rest.substr(at + 1);
    rest.resize(at + 1);
  }
  if (rest.ends_with(')')) rest.pop_back();
  if (auto const lto = object.find("null.lto."); lto != std::string::npos) object.erase(lto, 9);
  if (auto const at = object.find(" at "); at != std::string::npos) object = object.substr(0, at) + ")";
  return fmt::format("{}{}\n      in {}", rest, remark, object);
}

}  // namespace

std::optional<answer> why_chosen(configuration const& what, std::string const& thing) {
  for (auto const& node : what.graph.nodes) {
    if (is_device(node, thing)) return why_device(what, thing);
  }
  for (auto const& package : what.packages) {
    if (package.what.name.value == thing) return why_package(what, package);
  }
  return std::nullopt;
}

/// Asks the linker itself: the link is done once more, with its output thrown away.
outcome<answer> why_linked(configuration const& what, std::string const& thing) {
  auto const& state = what.state;
  auto const& root = what.build_root;
  auto const pieces = read_image(artefact(state, root, "image"), artefact(state, root, "map"));
  if (!pieces) return std::unexpected(pieces.error());
  auto const symbols = matching_symbols(*pieces, thing);
  if (symbols.empty()) {
    std::vector<std::string> names;
    for (auto const& node : what.graph.nodes) names.push_back(node.name);
    for (auto const& package : what.packages) names.push_back(package.what.name.value);
    for (auto const& piece : *pieces) {
      names.push_back(plain_name(demangled(piece.symbol)));
    }
    diagnostic none{.code = "unknown-name",
                    .message = fmt::format("`{}` is no device, package or symbol of this image", thing)};
    if (auto const near = nearest(thing, names))
      none.help.push_back(fmt::format("did you mean `{}`?", *near));
    none.help.push_back(
        "`morgana size --by symbol --top 0` lists what there is; inlined functions have no symbol");
    return fail(std::move(none));
  }
  auto const ninja = find_tool("ninja");
  if (!ninja) return std::unexpected(ninja.error());
  auto const folder = root / state.target;
  auto const debug = artefact(state, root, "debug").filename().string();
  std::string command;
  package_detail::process_call ask;
  ask.arguments = {ninja->string(), "-C", folder.string(), "-t", "commands", "-s", debug};
  ask.line = [&](std::string_view line) {
    if (line.find(" -o " + debug) != std::string_view::npos) command = line;
  };
  if (!package_detail::run_process(ask).good() || command.empty()) {
    return fail({.code = "why-unknown",
                 .message = fmt::format("target `{}` links in a way of its own, which cannot be asked",
                                        state.target)});
  }
  auto const target = " -o " + debug;
  command.replace(command.find(target), target.size(), " -o /dev/null");
  if (auto const map = command.find(" -Wl,-Map="); map != std::string::npos) {
    command.erase(map, command.find(' ', map + 1) == std::string::npos ? std::string::npos
                                                                       : command.find(' ', map + 1) - map);
  }
  constexpr std::size_t asked_max = 8;
  std::size_t asked = 0;
  for (auto const& symbol : symbols) {
    if (asked++ < asked_max) command += fmt::format(" -Xlinker '--why-live={}'", symbol);
  }
  std::string text;
  auto chains = ordered_json::array();
  package_detail::process_call link;
  link.arguments = {"/bin/sh", "-c", command};
  link.folder = folder;
  link.line = [&](std::string_view line) {
    constexpr std::string_view live = "live symbol: ";
    constexpr std::string_view by = ">>> referenced by: ";
    if (line.starts_with(live)) {
      text += fmt::format("{}\n", readable(line.substr(live.size())));
      chains.push_back({{"symbol", line.substr(live.size())}, {"referenced_by", ordered_json::array()}});
    } else if (line.starts_with(by)) {
      text += fmt::format("  ← {}\n", readable(line.substr(by.size())));
      if (!chains.empty()) chains.back()["referenced_by"].push_back(line.substr(by.size()));
    }
  };
  auto const end = package_detail::run_process(link);
  if (!end.good()) {
    return fail({.code = "why-unknown",
                 .message = "the linker cannot say why",
                 .notes = {{.message = package_detail::last_lines(end.output)}}});
  }
  if (text.empty()) text = fmt::format("`{}` is in the image, but the linker names no reason\n", thing);
  return answer{text, {{"kind", "why"}, {"thing", thing}, {"is", "symbol"}, {"chains", chains}}};
}

}  // namespace morgana::driver

// describe and query: what an application is, without building it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "command/commands.hpp"
#include "morgana/driver/answers.hpp"

namespace morgana::driver {
namespace {

using nlohmann::ordered_json;

/// A node and what it needs, as a tree; a node that was shown is not opened again.
void tree(std::string& out, device_graph const& graph, std::size_t index, std::string_view as,
          std::size_t depth, std::vector<bool>& shown) {
  auto const& node = graph.nodes[index];
  auto const indent = std::string(2 + depth * 2, ' ');
  auto const label = fmt::format("{}{}", indent, as);
  out += fmt::format("{:<22} {:<20} {}", label, node.implementation.provides.value,
                     node.implementation.name.value);
  std::vector<std::string> config;
  for (auto const& [name, value] : node.config) config.push_back(fmt::format("{}={}", name, value));
  if (!config.empty()) out += fmt::format(" ({})", fmt::join(config, ", "));
  if (shown[index] && !node.needs.empty()) out += "  (as above)";
  out += '\n';
  if (shown[index]) return;
  shown[index] = true;
  for (auto const& need : node.needs) tree(out, graph, need.node, need.name, depth + 1, shown);
}

std::string describe_text(configuration const& what) {
  auto out = fmt::format("{} for {}\n", what.app.name.value, what.on.name);
  std::vector<std::string> settings;
  for (auto const& [name, value] : what.settings.values)
    settings.push_back(fmt::format("{}={}", name, value));
  if (!settings.empty()) out += fmt::format("  {}\n", fmt::join(settings, ", "));
  out += "\ndevices\n";
  if (what.graph.nodes.empty()) out += "  none\n";
  std::vector<bool> shown(what.graph.nodes.size());
  for (auto const& parameter : what.needs.parameters) {
    if (parameter.what != start_parameter::kind::device) continue;
    for (std::size_t i = 0; i < what.graph.nodes.size(); ++i) {
      auto const& names = what.graph.nodes[i].parameters;
      if (std::ranges::find(names, parameter.name) != names.end()) {
        tree(out, what.graph, i, parameter.name, 0, shown);
      }
    }
  }
  out += "\noptions\n";
  auto any = false;
  for (auto const& group : what.options.groups) {
    for (auto const& option : group.options) {
      any = true;
      auto const value = option.fixed ? option.fixed->value : default_text(option.field);
      out += fmt::format("  {:<20} {:<18} {:<10} {}\n", "--" + option.name,
                         value.empty() ? "(no default)" : value, option.fixed ? "configure" : "boot",
                         option.field.documentation);
    }
  }
  if (!any) out += "  none\n";
  out += "\npackages\n";
  for (auto const& package : what.packages) {
    out += fmt::format("  {:<20} {:<18} {}", package.what.name.value, package.what.version, package.what.licence);
    std::vector<std::string> choices;
    if (auto const chosen = what.choices.find(package.what.name.value); chosen != what.choices.end()) {
      for (auto const& [name, value] : chosen->second) choices.push_back(fmt::format("{}={}", name, value));
    }
    if (!choices.empty()) out += fmt::format(" ({})", fmt::join(choices, ", "));
    out += '\n';
  }
  return out;
}

}  // namespace

int describe_command(output& out, describe_arguments const& with) {
  auto what = ensure_values(out, with.place);
  if (!what) return out.report(what.error());
  if (with.dot) {
    auto const dot = to_dot(what->graph, what->needs);
    out.result(dot, {{"kind", "dot"}, {"text", dot}});
  } else if (with.json && !out.is_json()) {
    auto const json = describe_json(*what);
    out.result(json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + '\n', json);
  } else {
    out.result(describe_text(*what), describe_json(*what));
  }
  return exit_code::done;
}

int query_command(output& out, query_arguments const& with) {
  auto lines = [&](std::vector<std::string> const& all) {
    std::string text;
    for (auto const& one : all) text += one + '\n';
    out.result(text, {{"kind", "query"}, {"what", with.what}, {"values", all}});
    return exit_code::done;
  };
  if (with.what == "name") {
    auto const app = read_description(with.place.path);
    if (!app) return out.report(app.error());
    return lines({app->name.value});
  }
  if (with.what == "targets") return targets_command(out, with.place);
  auto what = ensure_values(out, with.place);
  if (!what) return out.report(what.error());
  if (with.what == "lock") {
    auto const text = format_lock(what->lock);
    out.result(text, {{"kind", "query"}, {"what", "lock"}, {"text", text}});
    return exit_code::done;
  }
  std::vector<std::string> all;
  if (with.what == "files") {
    for (auto const& file : what->plan.files) all.push_back((what->build_folder / file.path).string());
    all.push_back((what->build_folder / "build.ninja").string());
    all.push_back((what->build_folder / what->plan.compile_commands_path).lexically_normal().string());
    for (auto const& [name, file] : what->state.artefacts)
      all.push_back((what->build_folder / file).string());
    std::ranges::sort(all);
  } else if (with.what == "devices") {
    for (auto const& node : what->graph.nodes) {
      all.push_back(fmt::format("{} {} {}", node.name, node.implementation.provides.value,
                                node.implementation.name.value));
    }
  } else {
    for (auto const& group : what->options.groups) {
      for (auto const& option : group.options) all.push_back(option.name);
    }
  }
  return lines(all);
}

}  // namespace morgana::driver

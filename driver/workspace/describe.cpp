// What an application is, as JSON.
#include "morgana/driver/answers.hpp"

namespace morgana::driver {
namespace {

using nlohmann::ordered_json;

ordered_json options_json(option_table const& table) {
  auto out = ordered_json::array();
  for (auto const& group : table.groups) {
    for (auto const& option : group.options) {
      ordered_json one{{"name", option.name},
                       {"stage", option.fixed ? "configure" : "boot"},
                       {"type", option.field.declared_type},
                       {"default", default_text(option.field)},
                       {"help", option.field.documentation}};
      if (option.fixed) one["value"] = option.fixed->value;
      out.push_back(std::move(one));
    }
  }
  return out;
}

ordered_json graph_json(device_graph const& graph) {
  auto out = ordered_json::array();
  for (auto const& node : graph.nodes) {
    auto needs = ordered_json::object();
    for (auto const& need : node.needs) needs[need.name] = graph.nodes[need.node].name;
    out.push_back({{"name", node.name},
                   {"concept", node.implementation.provides.value},
                   {"implementation", node.implementation.name.value},
                   {"type", node.type},
                   {"config", node.config},
                   {"needs", needs},
                   {"path", node.path},
                   {"parameters", node.parameters}});
  }
  return out;
}

}  // namespace

std::string default_text(option_field const& field) {
  return field.default_value.empty() ? field.default_source : field.default_value;
}

ordered_json describe_json(configuration const& what) {
  auto packages = ordered_json::array();
  for (auto const& package : what.packages) {
    packages.push_back({{"name", package.what.name.value},
                        {"version", package.what.version},
                        {"licence", package.what.licence},
                        {"origin", package.origin}});
    if (auto const chosen = what.choices.find(package.what.name.value); chosen != what.choices.end()) {
      packages.back()["choices"] = chosen->second;
    }
  }
  return {{"kind", "description"},
          {"name", what.app.name.value},
          {"target", what.on.name},
          {"folder", what.app.folder.string()},
          {"entry", what.app.entry.value},
          {"start", what.needs.qualified_start},
          {"settings", what.settings.values},
          {"options", options_json(what.options)},
          {"devices", graph_json(what.graph)},
          {"packages", packages},
          {"build_folder", what.build_folder.string()}};
}

}  // namespace morgana::driver

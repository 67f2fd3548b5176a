// The manifest: what an image is and which devices it needs, for those who run it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "morgana/driver/codegen.hpp"

namespace morgana::driver {
namespace {

using nlohmann::ordered_json;

ordered_json devices_of(device_graph const& graph) {
  auto out = ordered_json::array();
  std::map<attachment, int> slots;
  for (auto const& node : graph.nodes) {
    auto const& what = node.implementation;
    ordered_json one{
        {"name", node.name}, {"concept", what.provides.value}, {"implementation", what.name.value}};
    if (what.attached != attachment::none) {
      one["attached"] = to_string(what.attached);
      one["slot"] = slots[what.attached]++;
    }
    out.push_back(std::move(one));
  }
  return out;
}

ordered_json options_of(option_table const& options) {
  auto out = ordered_json::array();
  for (auto const& group : options.groups) {
    for (auto const& option : group.options) {
      ordered_json one{{"name", option.name}, {"type", option.field.declared_type}};
      auto const& evaluated = option.field.default_value;
      if (option.fixed) {
        one["value"] = option.fixed->value;
      } else if (!evaluated.empty() || !option.field.default_source.empty()) {
        one["default"] = evaluated.empty() ? option.field.default_source : evaluated;
      }
      out.push_back(std::move(one));
    }
  }
  return out;
}

}  // namespace

std::string manifest_text(manifest_input const& input) {
  auto sorted = input.packages;
  std::ranges::sort(sorted, {}, &linked_package::name);
  auto packages = ordered_json::array();
  for (auto const& one : sorted) packages.push_back({{"name", one.name}, {"version", one.version}});
  ordered_json const out{{"schema", 1},
                         {"name", input.name},
                         {"target", input.target},
                         {"morgana", input.driver_version},
                         {"devices", devices_of(*input.graph)},
                         {"options", options_of(*input.options)},
                         {"packages", std::move(packages)}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string manifest_source(std::string const& text) {
  auto padded = text;
  while (padded.size() % 4 != 3) padded += ' ';
  return fmt::format(
      "// Made by `morgana configure`: the image's manifest. Changes are overwritten.\n"
      "#include <cstdint>\n\n"
      "namespace {{\n"
      "struct note {{\n"
      "  std::uint32_t owner_bytes, text_bytes, kind;\n"
      "  char owner[8], text[{0}];\n"
      "}};\n"
      "[[gnu::section(\".note.morgana\"), gnu::used, gnu::retain, gnu::aligned(4)]] constinit note const "
      "manifest{{\n"
      "    8, {0}, 1, \"Morgana\",\n"
      "    {1}}};\n"
      "}}  // namespace\n",
      padded.size() + 1, string_literal(padded));
}

}  // namespace morgana::driver

#include <fmt/format.h>

#include "morgana/driver/graph.hpp"

namespace morgana::driver {
namespace {

std::string dot_text(std::string_view text) {
  std::string result = "\"";
  for (auto const c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::string to_dot(device_graph const& graph, requirements const& needs) {
  auto result =
      fmt::format("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n  start [shape=ellipse, label={}];\n",
                  dot_text(needs.qualified_start), dot_text(needs.qualified_start + "()"));
  for (auto const& node : graph.nodes) {
    auto label = fmt::format("{}\n{}\n{}", node.name, node.implementation.name.value,
                             node.implementation.provides.value);
    for (auto const& [name, value] : node.config) label += fmt::format("\n{} = {}", name, value);
    auto text = dot_text(label);
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.replace(at, 1, "\\n");
    result += fmt::format("  {} [label={}];\n", dot_text("node_" + node.name), text);
  }
  for (auto const& parameter : needs.devices) {
    for (auto const& node : graph.nodes) {
      for (auto const& served : node.parameters) {
        if (served != parameter.name.value) continue;
        result += fmt::format("  start -> {} [label={}];\n", dot_text("node_" + node.name), dot_text(served));
      }
    }
  }
  for (auto const& node : graph.nodes) {
    for (auto const& need : node.needs) {
      result += fmt::format("  {} -> {} [label={}];\n", dot_text("node_" + node.name),
                            dot_text("node_" + graph.nodes[need.node].name), dot_text(need.name));
    }
  }
  return result + "}\n";
}

}  // namespace morgana::driver

// A world for resolve(), written as text: catalogue and description in TOML, parameters as pairs.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "morgana/driver/graph.hpp"
#include "tests/unit/driver/diagnostic/complaints.hpp"

namespace morgana::driver::test {

using text_pairs = std::vector<std::pair<std::string, std::string>>;

struct scene {
  std::string devices = {};    ///< [[device]] entries of devices.toml
  text_pairs parameters = {};  ///< name and concept; parameter N stands in line N of unikernel.hpp
  std::string app = {};        ///< unikernel.toml, without its name
  text_pairs command_line = {};
  text_pairs elsewhere = {};  ///< target and [[device]] entries it has, for errors
};

inline std::string entry(std::string const& name, std::string const& provides, std::string const& more = {},
                         std::string const& type = {}) {
  return "[[device]]\nname = \"" + name + "\"\nprovides = \"" + provides + "\"\ntype = '" +
         (type.empty() ? "T_" + name : type) + "'\nheader = \"x.hpp\"\n" + more + "\n";
}

inline std::string needs(text_pairs const& all) {
  std::string result = "needs = [";
  for (auto const& [name, concept_name] : all)
    result += "{ name = \"" + name + "\", concept = \"" + concept_name + "\" },";
  return result + "]";
}

inline requirements requirements_of(scene const& from) {
  requirements result;
  result.start = {"unikernel.hpp", 1, 8, 5};
  result.qualified_start = "::start";
  std::uint32_t line = 0;
  for (auto const& [name, concept_name] : from.parameters) {
    ++line;
    result.devices.push_back(
        {{name, {"unikernel.hpp", line, 40, static_cast<std::uint32_t>(name.size())}},
         {concept_name, {"unikernel.hpp", line, 20, static_cast<std::uint32_t>(concept_name.size())}}});
  }
  return result;
}

inline outcome<device_graph> resolve_scene(scene const& from) {
  auto const app = parse_description("name = \"app\"\n" + from.app, "unikernel.toml");
  INFO(complaints(app));
  REQUIRE(app);
  auto const devices = parse_catalogue(from.devices, "devices.toml");
  INFO(complaints(devices));
  REQUIRE(devices);
  auto const needed = requirements_of(from);
  resolve_input input{.app = &*app,
                      .needs = &needed,
                      .available = &*devices,
                      .target = "unix",
                      .known = {},
                      .command_line = {}};
  add_providers(input.known, *devices, "unix");
  for (auto const& [target, entries] : from.elsewhere) {
    auto const more = parse_catalogue(entries, "more.toml");
    REQUIRE(more);
    add_providers(input.known, *more, target);
  }
  for (auto const& [name, value] : from.command_line) input.command_line[name].value = value;
  return resolve(input);
}

inline device_graph resolved(scene const& from) {
  auto result = resolve_scene(from);
  INFO(complaints(result));
  REQUIRE(result);
  return std::move(*result);
}

/// NAME = IMPLEMENTATION : TYPE [PATH] (NEED=NODE) SETTING=VALUE <- PARAMETERS
inline std::string outline(device_graph const& graph) {
  std::string result;
  for (auto const& node : graph.nodes) {
    result += node.name + " = " + node.implementation.name.value + " : " + node.type + " [";
    for (auto const& step : node.path) result += (step == "start" ? "" : " ") + step;
    result += "]";
    for (auto const& need : node.needs) {
      result += (&need == &node.needs.front() ? " (" : " ") + need.name + "=" + std::to_string(need.node);
    }
    if (!node.needs.empty()) result += ")";
    for (auto const& [name, value] : node.config) result += " " + name + "=" + value;
    if (!node.parameters.empty()) result += " <-";
    for (auto const& one : node.parameters) result += " " + one;
    result += "\n";
  }
  return result;
}

}  // namespace morgana::driver::test

// The device graph: which implementation serves each requirement, and what it needs in turn.
//
// Resolution is a pure function of requirements, catalogue, choices and target. A node's identity is its
// implementation, its configuration and its bound needs: parameters that resolve to the same identity share
// one node, unless the implementation is exclusive. Every node knows the chain from start() to it, for errors.
#pragma once

#include <string>
#include <vector>

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/requirements.hpp"

namespace morgana::driver {

struct bound_need {
  std::string name;                          ///< of the need
  std::size_t node = 0;                      ///< index into device_graph::nodes
};

struct graph_node {
  std::string name;                          ///< unique, a C++ identifier: the first parameter that asked, or
                                             ///< parameter_need for an inner node ("network_device")
  device implementation;
  std::map<std::string, std::string> config; ///< every declared setting, evaluated
  std::vector<bound_need> needs;             ///< in the order of implementation.needs
  std::string type;                          ///< C++ type with its placeholders replaced
  std::vector<std::string> path;             ///< start → network → device, by name
  std::vector<std::string> parameters;       ///< parameters of start() it serves
};

/// In topological order: a node comes after all it needs.
struct device_graph {
  std::vector<graph_node> nodes;
};

struct resolve_input {
  description const* app = nullptr;
  requirements const* needs = nullptr;
  catalogue const* available = nullptr;
  std::string target;
  std::vector<std::string> known_concepts;   ///< every concept any target provides, and by whom, for errors
  /// Settings from the command line, as `PARAMETER.NAME` (`htdocs.use`, `htdocs.folder`); they win.
  setting_map command_line;
};

/// Errors: `no-provider` (names the targets that have one), `unknown-concept` (a concept no catalogue knows),
/// `ambiguous-choice` (candidates, and the line to add to unikernel.toml), `unknown-name` (a parameter or
/// implementation or setting that does not exist, with the nearest), `wrong-value`, `missing-setting`,
/// `device-cycle`, `device-conflict` (two parameters want one exclusive thing).
[[nodiscard]] outcome<device_graph> resolve(resolve_input const& input);

/// The graph as Graphviz text, chosen nodes only.
[[nodiscard]] std::string to_dot(device_graph const& graph, requirements const& needs);

}  // namespace morgana::driver

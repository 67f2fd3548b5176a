// The device graph: which implementation serves each requirement, and what it needs in turn.
//
// Resolution is a pure function of requirements, catalogue, choices and target. A node's identity is its
// implementation, its configuration and its bound needs: parameters that resolve to the same identity share
// one node, unless the implementation is exclusive. Every node knows the chain from start() to it, for
// errors.
//
// Names. A parameter of start() gives its name to the node that serves it; what that node needs is named
// parameter_need ("network_device"), and so on inwards. Choices and settings go by these names:
// [devices.network_device] use = "tap". The strongest of the command line, [target.NAME.devices] and
// [devices] wins, setting by setting. What nobody chose is the only candidate, else the only one with
// `default = true`.
//
// Decorators. The setting `wrap = "pcap, faults"` of any name puts entries that declare `wraps` around what
// was chosen, in that order: pcap wraps the device, faults wraps pcap. They are named network_pcap and
// network_faults, have their own settings by these names, and the last one serves the parameter.
#pragma once

#include <string>
#include <vector>

#include "morgana/driver/catalogue.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/requirements.hpp"

namespace morgana::driver {

struct bound_need {
  std::string name;      ///< of the need
  std::size_t node = 0;  ///< index into device_graph::nodes
};

struct graph_node {
  std::string name;  ///< unique, a C++ identifier: the first parameter that asked, or
                     ///< parameter_need ("network_device"); also the prefix of its options
  device implementation;
  std::map<std::string, std::string> config;  ///< every declared setting, in its normal form (catalogue.hpp)
  std::vector<bound_need> needs;              ///< in the order of implementation.needs
  std::string type;                           ///< C++ type with its placeholders replaced
  std::vector<std::string> path;              ///< "start", "network", "device": the first chain that led here
  std::vector<std::string> parameters;        ///< parameters of start() it serves
};

/// In topological order: a node comes after all it needs.
struct device_graph {
  std::vector<graph_node> nodes;
  /// Settings of the command line that are none of a device: options of start() and of devices
  /// ("network.port"), settings of the target. Whoever knows those reports the rest.
  setting_map unused;
};

/// For errors: who provides a concept, on any target.
struct known_provider {
  std::string concept_name;
  std::string target;
  std::string implementation;
};

/// Adds what a catalogue provides on a target. Call it for every target there is, with the general catalogue
/// and with the target's own.
void add_providers(std::vector<known_provider>& into, catalogue const& devices, std::string_view target);

struct resolve_input {
  description const* app = nullptr;
  requirements const* needs = nullptr;
  catalogue const* available = nullptr;
  std::string target;
  std::vector<known_provider> known;
  /// Everything `--NAME=VALUE` of the command line, without the dashes; those that are `NODE.SETTING`
  /// (`htdocs.use`, `htdocs.folder`, `network.wrap`) are used, and win. Their places stay empty.
  setting_map command_line;
};

/// Errors: `no-provider` (names the targets that have one), `unknown-concept` (a concept no catalogue knows),
/// `ambiguous-choice` (candidates, and the lines to add to unikernel.toml), `unknown-name` (a parameter or
/// implementation or setting that does not exist, with the nearest), `wrong-value`, `missing-setting`,
/// `device-cycle`, `device-conflict` (two nodes want one exclusive thing: the same value of a `unique`
/// setting, or different values of one that is a constant of the image), `graph-limit` (more than 256 nodes, or a type of more than 16 KiB).
[[nodiscard]] outcome<device_graph> resolve(resolve_input const& input);

/// The graph as Graphviz text, chosen nodes only.
[[nodiscard]] std::string to_dot(device_graph const& graph, requirements const& needs);

}  // namespace morgana::driver

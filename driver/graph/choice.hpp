// What the user said about one node of the graph, in three layers, and the errors of choosing.
#pragma once

#include <string>
#include <vector>

#include "morgana/driver/graph.hpp"

namespace morgana::driver {

/// Somebody who needs a device: a parameter of start(), or a node's need.
struct asker {
  std::string name;  ///< of the node to be: "network", "network_device"
  std::string concept_name;
  std::optional<source_location> where;  ///< the parameter of start() at the head of the chain
  std::vector<std::string> path;         ///< of the node to be
  std::vector<diagnostic_note> chain;    ///< who needs whom, from start() inwards; empty for a parameter
};

/// Choices and settings by node name.
class choices {
 public:
  explicit choices(resolve_input const& input);

  /// The implementation that was chosen for a node; nullopt when nobody did.
  [[nodiscard]] std::optional<setting> use(std::string const& node) const;
  /// True when the general section chose another implementation than the one that is used.
  [[nodiscard]] bool overridden(std::string const& node, std::string_view used) const;
  /// The reserved setting `wrap`, strongest layer first.
  [[nodiscard]] std::optional<setting> wrap(std::string const& node) const;
  /// The declared settings; CLI settings that are not declared are passed over and stay unused.
  [[nodiscard]] outcome<std::map<std::string, std::string>> settings(asker const& who, device const& chosen);

  /// After resolution: one diagnostic for each name that is no node; `unfinished` nodes failed, so what they
  /// would need is not known.
  [[nodiscard]] diagnostics unknown_names(std::vector<std::string> const& nodes,
                                          std::vector<std::string> const& unfinished) const;
  /// What the command line said and no device took.
  [[nodiscard]] setting_map unused() const;

 private:
  using layer = std::map<std::string, device_choice>;
  [[nodiscard]] device_choice const* find(layer const* in, std::string const& node) const;
  [[nodiscard]] bool may_be_inner(std::string const& name) const;

  resolve_input const& input_;
  layer command_line_;
  layer const* target_ = nullptr;
  layer const* general_ = nullptr;
  std::map<std::string, bool> taken_;  ///< keys of the command line that a device took
};

[[nodiscard]] diagnostic no_provider(resolve_input const& input, asker const& who);
[[nodiscard]] diagnostic ambiguous_choice(asker const& who, std::vector<device const*> const& fitting);
[[nodiscard]] diagnostic unknown_implementation(resolve_input const& input, asker const& who,
                                                setting const& chosen,
                                                std::vector<device const*> const& fitting);
[[nodiscard]] diagnostic unknown_decorator(resolve_input const& input, asker const& who,
                                           setting const& chosen, std::string_view name);

}  // namespace morgana::driver

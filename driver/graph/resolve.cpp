#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "catalogue/placeholder.hpp"
#include "graph/choice.hpp"

namespace morgana::driver {
namespace {

constexpr std::size_t nodes_max = 256;
constexpr std::size_t type_bytes_max = 16u << 10;
/// Needs looked at: sharing hides nodes, and a lattice of needs has exponentially many chains.
constexpr std::size_t chains_max = 4096;

std::string cpp_string(std::string_view text) {
  std::string result = "\"";
  for (auto const c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\{:03o}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      result += c;
    }
  }
  return result + '"';
}

/// How a setting is written in C++.
std::string cpp_value(setting_declaration const& declared, std::string const& value) {
  auto const is_text = declared.type == setting_type::text || declared.type == setting_type::path;
  return is_text && declared.values.empty() ? cpp_string(value) : value;
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> result;
  while (true) {
    auto const comma = text.find(',');
    auto one = text.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (!one.empty()) result.emplace_back(one);
    if (comma == std::string_view::npos) return result;
    text.remove_prefix(comma + 1);
  }
}

class resolver {
 public:
  explicit resolver(resolve_input const& input) : input_(input), choices_(input) {
    for (auto const& one : input.needs->devices) reserved_.insert(one.name.value);
  }

  outcome<device_graph> run() {
    for (auto const& parameter : input_.needs->devices) {
      auto const& place =
          parameter.concept_name.where.file.empty() ? parameter.name.where : parameter.concept_name.where;
      auto const node = serve({parameter.name.value, parameter.concept_name.value, place, {"start"}, {}});
      if (limit_reached_) return std::unexpected<diagnostics>(std::move(wrong_));
      if (node)
        graph_.nodes[*node].parameters.push_back(parameter.name.value);
      else
        unfinished_.push_back(parameter.name.value);
    }
    for (auto& one : choices_.unknown_names(seen_, unfinished_)) wrong_.push_back(std::move(one));
    if (wrong_.empty()) {
      check_conflicts();
      check_constants();
    }
    if (!wrong_.empty()) return std::unexpected<diagnostics>(std::move(wrong_));
    graph_.unused = choices_.unused();
    return std::move(graph_);
  }

 private:
  using node_index = std::optional<std::size_t>;

  /// The node that serves somebody, with its decorators around it; nullopt when something is wrong. `path` of
  /// the asker is that of whoever asks, without the node to be.
  node_index serve(asker who) {
    if (seen_.size() >= chains_max) {
      limit(who, fmt::format("the application needs devices in more than {} ways", chains_max));
      return std::nullopt;
    }
    seen_.push_back(who.name);
    auto const wrapping = wrappers(who);
    auto const* chosen = choose(who);
    if (!chosen || !wrapping) return std::nullopt;

    // From the outside in: the last of `wrap` is the first on the chain from start().
    for (auto i = wrapping->size(); i-- > 0;) {
      who.path.push_back(fmt::format("{}_{}", who.name, (*wrapping)[i]->name.value));
    }
    auto names = std::vector<std::string>(who.path.end() - static_cast<std::ptrdiff_t>(wrapping->size()),
                                          who.path.end());
    who.path.push_back(short_name(who));
    auto inner = build(who, *chosen, std::nullopt);
    for (std::size_t i = 0; i < wrapping->size() && inner; ++i) {
      asker outer = who;
      outer.name = names[names.size() - 1 - i];
      seen_.push_back(outer.name);
      outer.path.resize(who.path.size() - 1 - i);
      inner = build(outer, *(*wrapping)[i], inner);
    }
    return inner;
  }

  /// A parameter's own name, or the need's: "network_device" is "device" on the chain.
  [[nodiscard]] std::string short_name(asker const& who) const {
    return who.chain.empty() ? who.name : need_names_.back();
  }

  std::optional<std::vector<device const*>> wrappers(asker const& who) {
    std::vector<device const*> result;
    auto const wrap = choices_.wrap(who.name);
    if (!wrap) return result;
    auto const all = candidates(*input_.available, who.concept_name, input_.target);
    for (auto const& name : split_names(wrap->value)) {
      auto const found =
          std::ranges::find_if(all, [&](device const* one) { return one->wraps && one->name.value == name; });
      if (found == all.end()) {
        wrong_.push_back(unknown_decorator(input_, who, *wrap, name));
        return std::nullopt;
      }
      if (std::ranges::find(result, *found) != result.end()) {
        diagnostic twice{.code = "wrong-value",
                         .message = fmt::format("`wrap` of `{}` names `{}` twice", who.name, name),
                         .where = wrap->where.file.empty() ? who.where : wrap->where,
                         .help = {"name each once"}};
        wrong_.push_back(std::move(twice));
        return std::nullopt;
      }
      result.push_back(*found);
    }
    return result;
  }

  device const* choose(asker const& who) {
    auto fitting = candidates(*input_.available, who.concept_name, input_.target);
    std::erase_if(fitting, [](device const* one) { return one->wraps.has_value(); });
    auto const explicit_choice = choices_.use(who.name);
    if (fitting.empty()) {
      // The same lack felt by two parameters is one mistake.
      if (lacking_.insert(who.concept_name).second) wrong_.push_back(no_provider(input_, who));
      return nullptr;
    }
    if (explicit_choice) {
      auto const found = std::ranges::find(fitting, explicit_choice->value,
                                           [](device const* one) { return one->name.value; });
      if (found != fitting.end()) return *found;
      wrong_.push_back(unknown_implementation(input_, who, *explicit_choice, fitting));
      return nullptr;
    }
    device const* chosen = nullptr;
    if (fitting.size() == 1) {
      chosen = fitting.front();
    } else {
      auto const defaults = std::ranges::count_if(fitting, &device::is_default);
      if (defaults != 1) {
        wrong_.push_back(ambiguous_choice(who, fitting));
        return nullptr;
      }
      chosen = *std::ranges::find_if(fitting, &device::is_default);
    }
    // Chosen by name a device may stand on another of its kind; chosen by us it would do so for ever.
    if (std::ranges::find(open_, chosen) != open_.end()) {
      wrong_.push_back(cycle(who, *chosen, fitting));
      return nullptr;
    }
    return chosen;
  }

  [[nodiscard]] diagnostic cycle(asker const& who, device const& chosen,
                                 std::vector<device const*> const& fitting) const {
    auto path = who.path;
    path.push_back(short_name(who));
    diagnostic result{
        .code = "device-cycle",
        .message = fmt::format("`{}` needs itself: {}", chosen.name.value, fmt::join(path, " → ")),
        .where = who.where};
    result.notes = who.chain;
    auto const other = std::ranges::find_if(fitting, [&](device const* one) { return one != &chosen; });
    result.help = {other != fitting.end()
                       ? fmt::format("choose another device inside: [devices.{}] use = \"{}\"", who.name,
                                     (*other)->name.value)
                       : fmt::format("add a device that provides `{}` without needing it", who.concept_name)};
    return result;
  }

  /// Makes the node of one implementation, or finds the one to share. `wrapped` serves the need that a
  /// decorator wraps.
  node_index build(asker const& who, device const& chosen, node_index wrapped) {
    auto config = choices_.settings(who, chosen);
    if (!config) std::ranges::move(config.error(), std::back_inserter(wrong_));

    graph_node node;
    bool complete = config.has_value();
    open_.push_back(&chosen);
    for (auto const& need : chosen.needs) {
      if (wrapped && chosen.wraps == need.concept_name.value) {
        node.needs.push_back({need.name.value, *wrapped});
        continue;
      }
      asker inner{inner_name(who.name, need.name.value), need.concept_name.value, who.where, who.path,
                  who.chain};
      inner.chain.push_back({fmt::format("`{}` needs `{}` as its `{}`", chosen.name.value,
                                         need.concept_name.value, need.name.value),
                             need.name.where});
      need_names_.push_back(need.name.value);
      auto const bound = serve(std::move(inner));
      need_names_.pop_back();
      if (bound)
        node.needs.push_back({need.name.value, *bound});
      else
        complete = false;
      if (limit_reached_) return std::nullopt;
    }
    open_.pop_back();
    if (!complete) return std::nullopt;

    auto identity =
        fmt::format("{}\n{}", static_cast<void const*>(&chosen), chosen.exclusive ? who.name : std::string{});
    for (auto const& [name, value] : *config)
      identity += fmt::format("\n{}={}:{}", name, value.size(), value);
    for (auto const& bound : node.needs) identity += fmt::format("\n{}", bound.node);
    if (auto const same = identities_.find(identity); same != identities_.end()) return same->second;

    node.name = who.name;
    node.implementation = chosen;
    node.config = std::move(*config);
    node.path = who.path;
    node.type = type_of(node);
    if (node.type.size() > type_bytes_max) {
      limit(who, fmt::format("the C++ type of `{}` is longer than {} bytes", who.name, type_bytes_max));
      return std::nullopt;
    }
    if (graph_.nodes.size() == nodes_max) {
      limit(who, fmt::format("the application needs more than {} devices", nodes_max));
      return std::nullopt;
    }
    graph_.nodes.push_back(std::move(node));
    return identities_[identity] = graph_.nodes.size() - 1;
  }

  /// Ends the resolution: one diagnostic, whatever else was wrong.
  void limit(asker const& who, std::string message) {
    limit_reached_ = true;
    wrong_ = {{.code = "graph-limit",
               .message = std::move(message),
               .where = who.where,
               .notes = who.chain,
               .help = {"choose simpler devices, or share them"}}};
  }

  /// parameter_need, but no name that is taken.
  [[nodiscard]] std::string inner_name(std::string const& outer, std::string const& need) const {
    auto name = fmt::format("{}_{}", outer, need);
    while (reserved_.contains(name) || std::ranges::find(seen_, name) != seen_.end()) name += '_';
    return name;
  }

  [[nodiscard]] std::string type_of(graph_node const& node) const {
    auto replaced = replace_placeholders(node.implementation.type,
                                         [&](std::string_view name) -> std::optional<std::string> {
                                           for (auto const& bound : node.needs) {
                                             if (bound.name == name) return graph_.nodes[bound.node].type;
                                           }
                                           if (name == "generated")
                                             return fmt::format("morgana::app::embedded_{}", node.name);
                                           if (!name.starts_with("config.")) return std::nullopt;
                                           auto const key = std::string(name.substr(7));
                                           auto const declared = node.implementation.config.find(key);
                                           if (declared == node.implementation.config.end())
                                             return std::nullopt;
                                           return cpp_value(declared->second, node.config.at(key));
                                         });
    // Reading the catalogue has checked the placeholders; an entry made by hand keeps its text.
    return replaced ? std::move(*replaced) : node.implementation.type;
  }

  /// What is left out is left out of the image, for whoever.
  void check_constants() {
    std::map<std::string, std::pair<graph_node const*, std::string>> first_of;
    for (auto const& node : graph_.nodes) {
      for (auto const& [name, declared] : node.implementation.config) {
        if (declared.constant.empty()) continue;
        auto const& value = node.config.at(name);
        auto const [at, is_first] = first_of.emplace(declared.constant, std::pair(&node, value));
        if (is_first || at->second.second == value) continue;
        auto const& other = *at->second.first;
        diagnostic one{.code = "device-conflict",
                       .message = fmt::format("`{}` of `{}` is {}, of `{}` {}: the image has it or has it not", name,
                                              other.name, at->second.second, node.name, value),
                       .where = place_of(node),
                       .notes = {{fmt::format("`{}` is asked for here", other.name), place_of(other)}}};
        one.help = {fmt::format("write the same for both: [devices.{}] {} = {}", node.name, name, at->second.second)};
        wrong_.push_back(std::move(one));
      }
    }
  }

  void check_conflicts() {
    std::map<std::string, graph_node const*> holders;
    for (auto const& node : graph_.nodes) {
      for (auto const& [name, declared] : node.implementation.config) {
        if (!declared.unique) continue;
        auto const& value = node.config.at(name);
        auto const key = fmt::format("{}\n{}\n{}\n{}", node.implementation.provides.value,
                                     node.implementation.name.value, name, value);
        auto const [at, first] = holders.emplace(key, &node);
        if (first) continue;
        auto const& other = *at->second;
        diagnostic one{.code = "device-conflict",
                       .message = fmt::format("`{}` and `{}` both want {} `{}` of `{}`", other.name,
                                              node.name, name, value, node.implementation.name.value),
                       .where = place_of(node),
                       .notes = {{fmt::format("`{}` is asked for here", other.name), place_of(other)}}};
        one.help = {fmt::format("give one of them another: [devices.{}] {} = ...", node.name, name)};
        wrong_.push_back(std::move(one));
      }
    }
  }

  /// The parameter of start() at the head of a node's chain.
  [[nodiscard]] std::optional<source_location> place_of(graph_node const& node) const {
    for (auto const& one : input_.needs->devices) {
      if (node.path.size() > 1 &&
          (node.path[1] == one.name.value || node.path[1].starts_with(one.name.value + "_"))) {
        return one.name.where;
      }
    }
    return std::nullopt;
  }

  resolve_input const& input_;
  choices choices_;
  device_graph graph_;
  diagnostics wrong_;
  std::map<std::string, std::size_t> identities_;
  std::vector<device const*> open_;      ///< implementations on the chain being built
  std::vector<std::string> need_names_;  ///< needs on that chain
  std::vector<std::string> seen_;        ///< names that choices may be made for
  std::vector<std::string> unfinished_;
  std::set<std::string> reserved_;
  std::set<std::string> lacking_;
  bool limit_reached_ = false;
};

}  // namespace

outcome<device_graph> resolve(resolve_input const& input) {
  return resolver(input).run();
}

void add_providers(std::vector<known_provider>& into, catalogue const& devices, std::string_view target) {
  for (auto const* one : devices_for(devices, target)) {
    if (!one->wraps) into.push_back({one->provides.value, std::string(target), one->name.value});
  }
}

}  // namespace morgana::driver

#include "graph/choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace morgana::driver {
namespace {

/// Points at what the user wrote, or says what was typed.
void say_where(diagnostic& one, source_location const& where, std::string const& typed) {
  if (where.file.empty())
    one.notes.push_back({fmt::format("given on the command line: --{}", typed)});
  else
    one.where = where;
}

}  // namespace

choices::choices(resolve_input const& input) : input_(input), general_(&input.app->devices) {
  if (auto const section = input.app->targets.find(input.target); section != input.app->targets.end()) {
    target_ = &section->second.devices;
  }
  for (auto const& [key, value] : input.command_line) {
    auto const dot = key.find('.');
    if (dot == std::string::npos) continue;
    auto& choice = command_line_[key.substr(0, dot)];
    choice.parameter.value = key.substr(0, dot);
    auto const name = key.substr(dot + 1);
    if (name == "use")
      choice.use = located_string{value.value, value.where};
    else
      choice.settings.emplace(name, value);
  }
}

device_choice const* choices::find(layer const* in, std::string const& node) const {
  if (!in) return nullptr;
  auto const found = in->find(node);
  return found == in->end() ? nullptr : &found->second;
}

std::optional<setting> choices::use(std::string const& node) const {
  for (auto const* in : {&command_line_, target_, general_}) {
    if (auto const* choice = find(in, node); choice && choice->use) {
      return setting{choice->use->value, choice->use->where, choice->use->where};
    }
  }
  return std::nullopt;
}

bool choices::overridden(std::string const& node, std::string_view used) const {
  auto const* choice = find(general_, node);
  return choice && choice->use && choice->use->value != used;
}

std::optional<setting> choices::wrap(std::string const& node) const {
  for (auto const* in : {&command_line_, target_, general_}) {
    if (auto const* choice = find(in, node)) {
      if (auto const found = choice->settings.find("wrap"); found != choice->settings.end())
        return found->second;
    }
  }
  return std::nullopt;
}

outcome<std::map<std::string, std::string>> choices::settings(asker const& who, device const& chosen) {
  std::vector<setting_map> kept;
  kept.reserve(3);
  std::vector<setting_layer> layers;
  auto whole = who.where;
  auto const prefix = fmt::format("--{}.", who.name);
  for (auto const* in : {static_cast<layer const*>(&command_line_), target_, general_}) {
    auto const* choice = find(in, who.name);
    if (!choice) {
      if (in == &command_line_) layers.push_back({&kept.emplace_back(), prefix, true});
      continue;
    }
    auto& settings = kept.emplace_back(choice->settings);
    settings.erase("wrap");
    if (in == &command_line_) {
      std::erase_if(settings, [&](auto const& one) { return !chosen.config.contains(one.first); });
      for (auto const& [name, value] : settings) taken_[fmt::format("{}.{}", who.name, name)] = true;
    } else if (!choice->parameter.where.file.empty()) {
      whole = choice->parameter.where;
    }
    // What is said in general for an implementation that this target replaces is not meant for this one.
    auto const lenient = in == general_ && overridden(who.name, chosen.name.value);
    layers.push_back({&settings, prefix, lenient});
  }
  return evaluate_settings(chosen.config, layers, fmt::format("`{}`", chosen.name.value),
                           fmt::format("[devices.{}]", who.name), whole);
}

bool choices::may_be_inner(std::string const& name) const {
  auto const below_parameter = std::ranges::any_of(input_.needs->devices, [&](device_requirement const& one) {
    return name.starts_with(one.name.value + "_");
  });
  if (!below_parameter) return false;
  return std::ranges::any_of(input_.available->devices, [&](device const& one) {
    if (one.wraps && name.ends_with("_" + one.name.value)) return true;
    return std::ranges::any_of(
        one.needs, [&](device_need const& need) { return name.ends_with("_" + need.name.value); });
  });
}

diagnostics choices::unknown_names(std::vector<std::string> const& nodes,
                                   std::vector<std::string> const& unfinished) const {
  diagnostics result;
  for (auto const* in : {static_cast<layer const*>(&command_line_), target_, general_}) {
    if (!in) continue;
    for (auto const& [name, choice] : *in) {
      if (std::ranges::find(nodes, name) != nodes.end()) continue;
      if (std::ranges::any_of(unfinished, [&](auto const& one) { return name.starts_with(one + "_"); }))
        continue;
      // An inner node that only another target has.
      if (in == general_ && may_be_inner(name)) continue;
      diagnostic one{
          .code = "unknown-name",
          .message = fmt::format("start() has no parameter `{}`, and nothing it needs is named so", name)};
      auto const typed = choice.use ? fmt::format("{}.use={}", name, choice.use->value)
                         : choice.settings.empty()
                             ? name
                             : fmt::format("{}.{}={}", name, choice.settings.begin()->first,
                                           choice.settings.begin()->second.value);
      say_where(one, choice.parameter.where, typed);
      one.notes.push_back({"start() is here", input_.needs->start});
      if (auto const near = nearest(name, nodes))
        one.help.push_back(fmt::format("did you mean `{}`?", *near));
      else if (nodes.empty())
        one.help.emplace_back("remove it; start() takes no devices");
      else
        one.help.push_back(fmt::format("remove it; the names are `{}`", fmt::join(nodes, "`, `")));
      result.push_back(std::move(one));
    }
  }
  return result;
}

setting_map choices::unused() const {
  setting_map result;
  for (auto const& [key, value] : input_.command_line) {
    auto const name = key.find('.') == std::string::npos ? std::string{} : key.substr(key.find('.') + 1);
    if (name != "use" && name != "wrap" && !taken_.contains(key)) result.emplace(key, value);
  }
  return result;
}

}  // namespace morgana::driver

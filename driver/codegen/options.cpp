// Which option belongs to whom, and which are fixed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "morgana/driver/codegen.hpp"

namespace morgana::driver {
namespace {

image_option* find(option_table& table, std::string_view name, option_group** group) {
  for (auto& each : table.groups) {
    for (auto& option : each.options) {
      if (option.name == name) {
        *group = &each;
        return &option;
      }
    }
  }
  return nullptr;
}

std::vector<std::string> all_names(option_table const& table) {
  std::vector<std::string> names;
  for (auto const& group : table.groups) {
    for (auto const& option : group.options) names.push_back(option.name);
  }
  return names;
}

/// Two options with one name: an application's field against a device's.
constexpr std::array built_in{"help", "log", "shutdown-grace"};

void check_clashes(option_table const& table, diagnostics& problems) {
  std::map<std::string, image_option const*> seen;
  for (auto const& group : table.groups) {
    for (auto const& option : group.options) {
      if (std::ranges::find(built_in, option.name) != built_in.end()) {
        problems.push_back(
            {.code = "option-clash",
             .message = fmt::format("`--{}` is an option that every unikernel has", option.name),
             .where = option.field.name.where,
             .help = {"rename the field"}});
        continue;
      }
      auto const [at, is_new] = seen.emplace(option.name, &option);
      if (is_new) continue;
      problems.push_back(
          {.code = "option-clash",
           .message = fmt::format("two options are named `--{}`", option.name),
           .where = option.field.name.where,
           .notes = {{.message = "the other one", .where = at->second->field.name.where}},
           .help = {"rename the field, or the parameter of start() whose device has the other"}});
    }
  }
}

diagnostic unknown_option(std::string const& name, setting const& value, option_table const& table,
                          std::vector<std::string> const& others) {
  diagnostic out{.code = "unknown-name", .message = fmt::format("there is no option `{}`", name)};
  auto names = all_names(table);
  if (value.where_name.file.empty()) {
    out.message = fmt::format("there is no option `--{}`", name);
  } else {
    out.where = value.where_name;
  }
  auto candidates = names;
  candidates.insert(candidates.end(), others.begin(), others.end());
  if (auto const near = nearest(name, candidates))
    out.help.push_back(fmt::format("did you mean `{}`?", *near));
  if (names.empty()) {
    out.notes.push_back({.message = "start() takes no options, and no chosen device has any"});
  } else {
    std::ranges::sort(names);
    out.notes.push_back({.message = fmt::format("options are `{}`", fmt::join(names, "`, `"))});
  }
  return out;
}

/// The choice of a node that took an option away, or one value of it.
struct taken_away {
  std::string name;       ///< "network.ipv6", "network.ipv4"
  std::string value;      ///< "dhcp"; empty: the whole option
  std::string choice;     ///< "ipv6"
  std::string node;
};

std::vector<taken_away> taken_by_choices(device_graph const& graph) {
  std::vector<taken_away> out;
  for (auto const& node : graph.nodes) {
    for (auto const& [choice, declared] : node.implementation.config) {
      auto const given = node.config.find(choice);
      if (declared.options.empty() || given == node.config.end() || given->second != "false") continue;
      for (auto const& one : declared.options) {
        auto const equals = one.find('=');
        out.push_back({.name = fmt::format("{}.{}", node.name, one.substr(0, equals)),
                       .value = equals == one.npos ? std::string() : one.substr(equals + 1),
                       .choice = choice,
                       .node = node.name});
      }
    }
  }
  return out;
}

diagnostic left_out(taken_away const& what, setting const& given) {
  auto const written = what.value.empty() ? what.name : fmt::format("{}={}", what.name, what.value);
  diagnostic out{.code = "option-left-out",
                 .message = fmt::format("the image has no `{}`: `{}` of `{}` is false", written, what.choice, what.node)};
  if (given.where_name.file.empty()) {
    out.notes.push_back({.message = fmt::format("given on the command line: --{}={}", what.name, given.value)});
  } else {
    out.where = what.value.empty() ? given.where_name : given.where;
  }
  out.help.push_back(fmt::format("remove it, or write `{} = true` in [devices.{}]", what.choice, what.node));
  return out;
}

std::optional<source_location> place_of(setting const& value) {
  if (value.where.file.empty()) return std::nullopt;
  return value.where;
}

}  // namespace

outcome<option_table> arrange_options(options_input const& input) {
  option_table table;
  auto const taken = taken_by_choices(*input.graph);
  if (input.needs->options) {
    auto const& own = *input.needs->options;
    option_group group{.member = "app", .type = own.type.value, .generic = own.generic};
    for (auto const& field : own.fields) group.options.push_back({.name = field.flag, .field = field});
    table.groups.push_back(std::move(group));
  }
  for (std::size_t i = 0; i < input.devices.size(); ++i) {
    if (!input.devices[i]) continue;
    auto const& node = input.graph->nodes[i];
    option_group group{.member = node.name, .type = input.devices[i]->type.value, .node = i};
    for (auto const& field : input.devices[i]->fields) {
      auto name = fmt::format("{}.{}", node.name, field.flag);
      bool const is_gone = std::ranges::any_of(
          taken, [&](taken_away const& one) { return one.name == name && one.value.empty(); });
      if (is_gone) {
        table.left_out.push_back(std::move(name));
      } else {
        group.options.push_back({.name = std::move(name), .field = field});
      }
    }
    table.groups.push_back(std::move(group));
  }

  diagnostics problems;
  check_clashes(table, problems);
  for (auto const& [name, value] : input.fixed) {
    auto const gone = std::ranges::find_if(taken, [&](taken_away const& one) {
      return one.name == name && (one.value.empty() || one.value == value.value);
    });
    if (gone != taken.end()) {
      problems.push_back(left_out(*gone, value));
      continue;
    }
    option_group* group = nullptr;
    auto* const option = find(table, name, &group);
    if (option == nullptr) {
      problems.push_back(unknown_option(name, value, table, input.other_names));
      continue;
    }
    if (!group->node && !group->generic) {
      problems.push_back(
          {.code = "option-not-fixable",
           .message = fmt::format("option `{}` cannot be fixed at configure time", name),
           .where = place_of(value),
           .notes = {{.message =
                          fmt::format("start() takes `{} const&`, which leaves every option to the boot line",
                                      group->type),
                      .where = input.needs->options->type.where}},
           .help = {fmt::format("write `option_set<{}> auto const& {}` instead", group->type,
                                input.needs->options->parameter)}});
      continue;
    }
    if (auto const problem = value_problem(option->field, value.value); !problem.empty()) {
      problems.push_back(
          {.code = "option-value",
           .message = fmt::format("option `{}` cannot be `{}`: {}", name, value.value, problem),
           .where = place_of(value),
           .notes = {{.message = fmt::format("its type is `{}`", option->field.declared_type),
                      .where = option->field.name.where}}});
      continue;
    }
    option->fixed = value;
  }
  if (!problems.empty()) return std::unexpected<diagnostics>(std::move(problems));
  return table;
}

}  // namespace morgana::driver

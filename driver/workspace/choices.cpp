#include "workspace/choices.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace morgana::driver {
namespace {

/// The recipe whose choice an option of the command line is.
recipe const* recipe_of(std::vector<repository> const& repositories, std::string_view option) {
  for (auto const& from : repositories) {
    for (auto const& one : from.recipes) {
      if (!one.choices.empty() && option.starts_with(one.name.value + ".")) return &one;
    }
  }
  return nullptr;
}

diagnostic no_package(std::string const& name, std::vector<repository> const& repositories,
                      std::vector<chosen_package> const& packages) {
  diagnostic out{.code = "unknown-package", .message = fmt::format("the image has no package `{}`", name)};
  auto const exists = std::ranges::any_of(repositories, [&](repository const& from) {
    return std::ranges::any_of(from.recipes, [&](recipe const& one) { return one.name.value == name; });
  });
  std::vector<std::string> names;
  for (auto const& package : packages) names.push_back(package.what.name.value);
  if (exists) {
    out.help.push_back("name it in `packages`, or remove this");
  } else if (auto const near = nearest(name, names)) {
    out.help.push_back(fmt::format("did you mean `{}`?", *near));
  }
  return out;
}

}  // namespace

bool names_package_choice(std::vector<repository> const& repositories, std::string_view option) {
  return recipe_of(repositories, option) != nullptr;
}

outcome<package_choices> choose_in_packages(std::vector<repository> const& repositories,
                                            std::vector<chosen_package> const& packages, description const& app,
                                            std::map<std::string, std::string> const& command_line) {
  diagnostics wrong;
  auto const is_there = [&](std::string const& name) {
    return std::ranges::any_of(packages, [&](auto const& one) { return one.what.name.value == name; });
  };
  for (auto const& [name, choice] : app.package_choices) {
    if (is_there(name)) continue;
    wrong.push_back(no_package(name, repositories, packages));
    wrong.back().where = choice.package.where;
  }
  std::map<std::string, setting_map> given;
  for (auto const& [option, value] : command_line) {
    auto const* owner = recipe_of(repositories, option);
    if (owner == nullptr) continue;
    auto const& name = owner->name.value;
    given[name].emplace(option.substr(name.size() + 1), setting{.value = value});
    if (is_there(name)) continue;
    wrong.push_back(no_package(name, repositories, packages));
    wrong.back().notes.push_back({fmt::format("given on the command line: --{}={}", option, value)});
  }
  package_choices out;
  static setting_map const none;
  for (auto const& package : packages) {
    auto const& name = package.what.name.value;
    auto const written = app.package_choices.find(name);
    auto const is_written = written != app.package_choices.end();
    auto values = evaluate_settings(
        package.what.choices,
        {{.settings = &given[name], .flag_prefix = fmt::format("--{}.", name)},
         {.settings = is_written ? &written->second.settings : &none}},
        fmt::format("package `{}`", name), fmt::format("[choices.{}]", name),
        is_written ? std::optional(written->second.package.where) : std::nullopt);
    if (!values) {
      wrong.insert(wrong.end(), values.error().begin(), values.error().end());
    } else if (!values->empty()) {
      out.emplace(name, *std::move(values));
    }
  }
  if (!wrong.empty()) return std::unexpected<diagnostics>(std::move(wrong));
  return out;
}

std::vector<image_constant> constants_of(std::vector<chosen_package> const& packages, package_choices const& values) {
  std::vector<image_constant> out;
  for (auto const& package : packages) {
    auto const chosen = values.find(package.what.name.value);
    if (chosen == values.end()) continue;
    auto const& declared = package.what.choices;
    bool const is_usual = std::ranges::all_of(
        declared, [&](auto const& one) { return chosen->second.at(one.first) == one.second.default_value; });
    if (is_usual) continue;
    for (auto const& [name, one] : declared) {
      out.push_back({.name = one.constant, .value = chosen->second.at(name), .choice = name, .owner = chosen->first});
    }
  }
  return out;
}

}  // namespace morgana::driver

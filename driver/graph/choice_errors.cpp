#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "graph/choice.hpp"

namespace morgana::driver {
namespace {

/// "`a`", "`a` or `b`", "`a`, `b` or `c`".
std::string alternatives(std::vector<std::string> const& names) {
  if (names.empty()) return {};
  std::string result = fmt::format("`{}`", names.front());
  for (std::size_t i = 1; i < names.size(); ++i) {
    result += fmt::format("{}`{}`", i + 1 == names.size() ? " or " : ", ", names[i]);
  }
  return result;
}

std::vector<std::string> names_of(std::vector<device const*> const& devices) {
  std::vector<std::string> result;
  for (auto const* one : devices) result.push_back(one->name.value);
  return result;
}

/// target → its implementations of a concept, other targets only.
std::map<std::string, std::vector<std::string>> elsewhere(resolve_input const& input,
                                                          std::string_view concept_name) {
  std::map<std::string, std::set<std::string>> found;
  for (auto const& one : input.known) {
    if (one.concept_name == concept_name && one.target != input.target)
      found[one.target].insert(one.implementation);
  }
  std::map<std::string, std::vector<std::string>> result;
  for (auto const& [target, names] : found) result[target] = {names.begin(), names.end()};
  return result;
}

std::vector<std::string> decorators(resolve_input const& input, std::string_view concept_name) {
  std::vector<std::string> result;
  for (auto const* one : candidates(*input.available, concept_name, input.target)) {
    if (one->wraps) result.push_back(one->name.value);
  }
  return result;
}

void say_where(diagnostic& one, setting const& chosen, std::string const& typed) {
  if (chosen.where.file.empty()) {
    one.notes.push_back({fmt::format("given on the command line: --{}={}", typed, chosen.value)});
  } else {
    one.where = chosen.where;
  }
}

void add_chain(diagnostic& one, asker const& who) {
  one.notes.insert(one.notes.end(), who.chain.begin(), who.chain.end());
}

}  // namespace

diagnostic no_provider(resolve_input const& input, asker const& who) {
  std::set<std::string> concepts;
  for (auto const& one : input.known) concepts.insert(one.concept_name);
  for (auto const& one : input.available->devices) concepts.insert(one.provides.value);

  if (!concepts.contains(who.concept_name)) {
    diagnostic result{
        .code = "unknown-concept",
        .message = fmt::format("no device provides the concept `{}`, on any target", who.concept_name),
        .where = who.where};
    add_chain(result, who);
    if (auto const near = nearest(who.concept_name, {concepts.begin(), concepts.end()})) {
      result.help.push_back(fmt::format("did you mean `{}`?", *near));
    }
    result.help.emplace_back(
        "`morgana devices` lists the concepts that have devices; one of your own comes with "
        "`catalogues = [\"devices.toml\"]`");
    return result;
  }
  diagnostic result{.code = "no-provider",
                    .message = fmt::format("nothing provides `{}` for `{}` on target `{}`", who.concept_name,
                                           who.name, input.target),
                    .where = who.where};
  add_chain(result, who);
  std::vector<std::string> targets;
  for (auto const& [target, names] : elsewhere(input, who.concept_name)) {
    result.notes.push_back({fmt::format("on target `{}` it is provided by {}", target, alternatives(names))});
    targets.push_back(target);
  }
  if (!targets.empty()) {
    result.help.push_back(
        fmt::format("configure for a target that has it: `morgana configure -t {}`", targets.front()));
  }
  result.help.emplace_back("or add a device of your own for this target: `catalogues = [\"devices.toml\"]`");
  return result;
}

diagnostic ambiguous_choice(asker const& who, std::vector<device const*> const& fitting) {
  diagnostic result{
      .code = "ambiguous-choice",
      .message = fmt::format("`{}` can be {}; nothing says which", who.name, alternatives(names_of(fitting))),
      .where = who.where};
  add_chain(result, who);
  for (auto const* one : fitting) {
    result.notes.push_back({one->help.empty() ? fmt::format("`{}`", one->name.value)
                                              : fmt::format("`{}`: {}", one->name.value, one->help),
                            one->where});
  }
  result.help = {
      fmt::format("add to unikernel.toml: [devices.{}] use = \"{}\"", who.name, fitting.front()->name.value),
      fmt::format("or choose on the command line: --{}.use={}", who.name, fitting.front()->name.value)};
  return result;
}

diagnostic unknown_implementation(resolve_input const& input, asker const& who, setting const& chosen,
                                  std::vector<device const*> const& fitting) {
  diagnostic result{.code = "unknown-name",
                    .message = fmt::format("`{}` is no implementation of `{}` on target `{}`", chosen.value,
                                           who.concept_name, input.target)};
  say_where(result, chosen, who.name + ".use");
  auto const wrapping = decorators(input, who.concept_name);
  auto const names = names_of(fitting);
  if (std::ranges::find(wrapping, chosen.value) != wrapping.end()) {
    result.help = {fmt::format("`{0}` wraps another device: write `wrap = \"{0}\"` in [devices.{1}]",
                               chosen.value, who.name)};
    return result;
  }
  for (auto const& [target, others] : elsewhere(input, who.concept_name)) {
    if (std::ranges::find(others, chosen.value) == others.end()) continue;
    result.notes.push_back({fmt::format("target `{}` has it", target)});
    if (result.help.empty() && !chosen.where.file.empty()) {
      result.help.push_back(fmt::format("move the choice to [target.{}.devices.{}]", target, who.name));
    }
  }
  if (auto const near = nearest(chosen.value, names))
    result.help.push_back(fmt::format("did you mean `{}`?", *near));
  if (!names.empty()) {
    result.help.push_back(fmt::format("here it can be {}", alternatives(names)));
  } else {
    result.help.push_back(fmt::format("nothing provides `{}` here; choose another target", who.concept_name));
  }
  return result;
}

diagnostic unknown_decorator(resolve_input const& input, asker const& who, setting const& chosen,
                             std::string_view name) {
  diagnostic result{.code = "unknown-name",
                    .message = fmt::format("`{}` is no device that wraps `{}` on target `{}`", name,
                                           who.concept_name, input.target)};
  say_where(result, chosen, who.name + ".wrap");
  auto const names = decorators(input, who.concept_name);
  if (auto const near = nearest(name, names)) result.help.push_back(fmt::format("did you mean `{}`?", *near));
  if (names.empty())
    result.help.push_back("remove it; nothing wraps this concept here");
  else
    result.help.push_back(fmt::format("it can be {}", alternatives(names)));
  return result;
}

}  // namespace morgana::driver

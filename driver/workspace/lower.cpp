#include "workspace/lower.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "morgana/driver/plugin_library.hpp"

namespace morgana::driver {
namespace {

using nlohmann::json;

std::string request_text(lower_request const& request) {
  auto const& what = *request.what;
  auto nodes = json::array();
  for (auto const& node : what.graph.nodes) {
    auto needs = json::object();
    for (auto const& need : node.needs) needs[need.name] = what.graph.nodes[need.node].name;
    nodes.push_back({{"name", node.name},
                     {"provides", node.implementation.provides.value},
                     {"implementation", node.implementation.name.value},
                     {"config", node.config},
                     {"needs", needs},
                     {"path", node.path}});
  }
  auto options = json::array();
  for (auto const& group : what.options.groups) {
    for (auto const& option : group.options) {
      json one{{"name", option.name}, {"type", option.field.declared_type}};
      if (option.fixed) one["value"] = option.fixed->value;
      options.push_back(std::move(one));
    }
  }
  json const out{{"target", what.on.name},
                 {"application", what.app.name.value},
                 {"build_folder", what.build_folder.string()},
                 {"settings", what.settings.values},
                 {"graph", {{"nodes", nodes}}},
                 {"options", options},
                 {"objects", request.objects},
                 {"archives", request.archives},
                 {"image", request.image}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string text_of(json const& from, char const* name) {
  auto const at = from.find(name);
  return at != from.end() ? at->get<std::string>() : std::string();
}

std::vector<std::string> texts_of(json const& from, char const* name) {
  auto const at = from.find(name);
  return at != from.end() ? at->get<std::vector<std::string>>() : std::vector<std::string>();
}

/// Below the build folder, and plain enough for Ninja.
bool is_output(std::string const& path) {
  auto const normal = std::filesystem::path(path).lexically_normal();
  return !path.empty() && normal.is_relative() && *normal.begin() != ".." &&
         path.find('\n') == std::string::npos;
}

bool is_rule_name(std::string const& name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Reads the answer; a text is what is wrong with it.
std::expected<build_plan, std::string> read_answer(json const& from) {
  build_plan out;
  std::set<std::string> names;
  for (auto const& one : from.value("rules", json::array())) {
    plan_rule rule{.name = text_of(one, "name"),
                   .command = text_of(one, "command"),
                   .description = text_of(one, "description"),
                   .depfile = text_of(one, "depfile")};
    if (!is_rule_name(rule.name)) return std::unexpected(fmt::format("`{}` is no name of a rule", rule.name));
    for (auto const* text : {&rule.command, &rule.description, &rule.depfile}) {
      if (text->find('\n') != std::string::npos) {
        return std::unexpected(fmt::format("rule `{}` has a line break", rule.name));
      }
    }
    names.insert(rule.name);
    out.rules.push_back(std::move(rule));
  }
  for (auto const& one : from.value("edges", json::array())) {
    plan_edge edge{.rule = text_of(one, "rule"),
                   .outputs = texts_of(one, "outputs"),
                   .inputs = texts_of(one, "inputs"),
                   .implicit_inputs = texts_of(one, "implicit_inputs"),
                   .order_only = texts_of(one, "order_only")};
    if (!names.contains(edge.rule)) return std::unexpected(fmt::format("there is no rule `{}`", edge.rule));
    for (auto const& output : edge.outputs) {
      if (!is_output(output))
        return std::unexpected(fmt::format("`{}` lies outside the build folder", output));
    }
    if (auto const variables = one.find("variables"); variables != one.end()) {
      edge.variables = variables->get<std::map<std::string, std::string>>();
    }
    out.edges.push_back(std::move(edge));
  }
  for (auto const& one : from.value("files", json::array())) {
    plan_file file{.path = text_of(one, "path"), .text = text_of(one, "text")};
    if (!is_output(file.path.string())) {
      return std::unexpected(fmt::format("`{}` lies outside the build folder", file.path.string()));
    }
    out.files.push_back(std::move(file));
  }
  out.defaults = texts_of(from, "defaults");
  if (out.edges.empty()) return std::unexpected("it has no edges");
  return out;
}

}  // namespace

outcome<std::optional<build_plan>> lower(lower_request const& request) {
  auto library = plugin_library::load(request.what->on);
  if (!library) return fail(std::move(library));
  if (!*library) return std::nullopt;
  auto answer = (*library)->call("lower", request_text(request));
  if (!answer) return fail(std::move(answer));
  if (!*answer) return std::nullopt;
  std::string problem;
  try {
    auto plan = read_answer(json::parse(**answer));
    if (plan) {
      if (plan->defaults.empty()) plan->defaults = {request.image};
      return std::optional(*std::move(plan));
    }
    problem = plan.error();
  } catch (json::exception const& error) {
    problem = error.what();
  }
  return fail({.code = "plugin-response",
               .message = fmt::format("plugin `{}` answered `lower` with no plan: {}", request.what->on.name,
                                      problem),
               .where = source_location{.file = request.what->on.file},
               .help = {"report it to the plugin's author; `morgana plugin check` finds such defects"}});
}

void merge_lowered(build_plan& into, build_plan const& answer) {
  into.rules.insert(into.rules.end(), answer.rules.begin(), answer.rules.end());
  into.edges.insert(into.edges.end(), answer.edges.begin(), answer.edges.end());
  into.files.insert(into.files.end(), answer.files.begin(), answer.files.end());
  into.defaults = answer.defaults;
}

}  // namespace morgana::driver

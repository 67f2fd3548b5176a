// build.ninja from a plan. Equal plans give equal bytes: everything is printed in the plan's own order, and
// maps are sorted.
#include <algorithm>
#include <string>

#include "morgana/driver/plan.hpp"

namespace morgana::driver {
namespace {

/// A path as Ninja's grammar wants it in a build line.
std::string path_text(std::string_view path) {
  std::string out;
  for (auto const c : path) {
    if (c == '$' || c == ' ' || c == ':') out += '$';
    out += c;
  }
  return out;
}

void append_paths(std::string& out, std::string_view before, std::vector<std::string> const& paths) {
  if (paths.empty()) return;
  out += before;
  for (auto const& path : paths) {
    out += ' ';
    out += path_text(path);
  }
}

void append_rule(std::string& out, plan_rule const& rule) {
  out += "\nrule " + rule.name + "\n  command = " + rule.command + '\n';
  if (!rule.description.empty()) out += "  description = " + rule.description + '\n';
  // Ninja keeps the dependencies in its own log and removes the file.
  if (!rule.depfile.empty()) out += "  depfile = " + rule.depfile + "\n  deps = gcc\n";
}

void append_edge(std::string& out, plan_edge const& edge) {
  out += "\nbuild";
  append_paths(out, "", edge.outputs);
  out += ": " + edge.rule;
  append_paths(out, "", edge.inputs);
  append_paths(out, " |", edge.implicit_inputs);
  append_paths(out, " ||", edge.order_only);
  out += '\n';
  for (auto const& [name, value] : edge.variables) out += "  " + name + " = " + value + '\n';
}

/// Characters that mean nothing to a shell.
bool is_plain(char c) {
  constexpr std::string_view plain = "_-+=./,:@%^";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         plain.find(c) != std::string_view::npos;
}

}  // namespace

std::string ninja_word(std::string_view word) {
  std::string quoted;
  if (!word.empty() && std::ranges::all_of(word, is_plain)) {
    quoted = word;
  } else {
    quoted = "'";
    for (auto const c : word) {
      if (c == '\'') {
        quoted += "'\\''";
      } else {
        quoted += c;
      }
    }
    quoted += '\'';
  }
  std::string out;
  for (auto const c : quoted) {
    if (c == '$') out += '$';
    out += c;
  }
  return out;
}

std::string ninja_words(std::vector<std::string> const& words) {
  std::string out;
  for (auto const& word : words) {
    if (!out.empty()) out += ' ';
    out += ninja_word(word);
  }
  return out;
}

std::string to_ninja(build_plan const& plan) {
  std::string out =
      "# Written by `morgana configure`, which writes it again when unikernel.toml changes.\n"
      "ninja_required_version = 1.10\n"
      "builddir = .\n\n";
  for (auto const& [name, value] : plan.variables) out += name + " = " + value + '\n';
  for (auto const& rule : plan.rules) append_rule(out, rule);
  for (auto const& edge : plan.edges) append_edge(out, edge);
  if (!plan.defaults.empty()) {
    out += "\ndefault";
    append_paths(out, "", plan.defaults);
    out += '\n';
  }
  return out;
}

}  // namespace morgana::driver

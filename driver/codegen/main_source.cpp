// main.gen.cpp: connects the devices of an application in order and calls its start().
// docs/generated-main.md has its rules.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "morgana/driver/codegen.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// A qualified C++ name, from the global namespace on.
std::string global(std::string_view type) {
  return type.starts_with("::") ? std::string(type) : fmt::format("::{}", type);
}

/// The local variable of a node: its own name, unless the generated code uses that for something else.
std::string local(std::string const& name) {
  constexpr std::array taken{"devices", "chosen", "manifest", "options_table", "left_out",
                             "run",     "start",  "morgana",  "std"};
  return std::ranges::find(taken, name) == taken.end() ? name : name + '_';
}

/// The alias of a node's type. An inner node may be named as another's alias would be: "network_device".
std::string alias(std::string const& name) {
  return name + "_type";
}

/// `file:line`, relative to the first base that holds it, so that the text is equal wherever the tree is.
std::string place(main_input const& input, source_location const& where) {
  auto bases = input.bases;
  bases.insert(bases.begin(), input.base);
  auto file = where.file;
  for (auto const& base : bases) {
    if (base.empty()) continue;
    auto const relative = where.file.lexically_relative(base);
    if (relative.empty() || *relative.begin() == "..") continue;
    file = relative;
    break;
  }
  return fmt::format("{}:{}", file.generic_string(), where.line);
}

/// A std::string cannot be a constant; a view of the text serves as well.
std::string constant_type(option_group const& group, option_field const& field) {
  if (field.type.starts_with("std::basic_string<char")) return "std::string_view";
  return fmt::format("decltype({}::{})", global(group.type), field.name.value);
}

std::string path_text(graph_node const& node) {
  return fmt::format("{}", fmt::join(node.path, " → "));
}

class writer {
 public:
  explicit writer(main_input const& input) : in_(input) {}

  std::string write() {
    includes();
    line("");
    line("namespace {");
    line("");
    line("using namespace std::chrono_literals;");
    devices();
    options();
    left_out();
    manifest();
    run();
    line("");
    line("}  // namespace");
    definition();
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    out_ += text;
    out_ += '\n';
  }

  void heading(std::string_view text) {
    line("");
    auto out = fmt::format("// ---- {} ", text);
    out.append(105 - std::min<std::size_t>(out.size(), 104), '-');
    line(out);
    line("");
  }

  void includes() {
    line(fmt::format("// Made by `morgana configure` from {} for the target {}. Changes are overwritten.",
                     in_.entry, in_.target));
    line(fmt::format("#include {}", string_literal(in_.entry)));
    line("");
    std::set<std::string> headers{"morgana/app.hpp", "morgana/core/boot.hpp"};
    std::set<std::string> generated;
    for (auto const& node : in_.graph->nodes) {
      if (!node.implementation.header.empty()) headers.insert(node.implementation.header);
      if (node.implementation.generate == generator_kind::embed_folder) {
        generated.insert(embed_table(node.name) + ".gen.hpp");
      }
    }
    for (auto const& header : headers) line(fmt::format("#include {}", string_literal(header)));
    if (!generated.empty()) line("");
    for (auto const& header : generated) line(fmt::format("#include {}", string_literal(header)));
  }

  void devices() {
    if (in_.graph->nodes.empty()) return;
    heading("devices");
    for (auto const& node : in_.graph->nodes)
      line(fmt::format("using {} = {};", alias(node.name), node.type));
    line("");
    for (auto const& node : in_.graph->nodes) {
      auto const& what = node.implementation;
      line(fmt::format("static_assert({}<{}>,", concept_name(what.provides.value), alias(node.name)));
      line(fmt::format("              {});",
                       string_literal(fmt::format("{}: `{}` is no {}", place(in_, what.where),
                                                  what.name.value, what.provides.value))));
    }
  }

  /// Concepts are named without the leading `morgana::`; one of the application's own is found as well.
  std::string concept_name(std::string const& name) const {
    for (auto const& need : in_.needs->devices) {
      if (need.concept_name.value == name && name.starts_with("::")) return name;
    }
    return "morgana::" + name;
  }

  bool has_options() const { return !in_.options->groups.empty(); }

  bool has_boot_options() const {
    return std::ranges::any_of(in_.options->groups, [](option_group const& group) {
      return std::ranges::any_of(group.options, [](image_option const& option) { return !option.fixed; });
    });
  }

  std::string fixed_value(std::string const& type, image_option const& option) const {
    return fmt::format("morgana::parse_fixed<{}>({})", type, string_literal(option.fixed->value));
  }

  std::string origin(image_option const& option) const {
    auto const& where = option.fixed->where;
    return where.file.empty() ? std::string("command line") : place(in_, where);
  }

  /// What start() receives: fixed options are constants, the others members with their own defaults.
  void configured_options(option_group const& group) {
    line("struct configured_options {");
    line(fmt::format("  using declared = {};", global(group.type)));
    for (auto const& option : group.options) {
      auto const& name = option.field.name.value;
      if (option.fixed) {
        auto const type = constant_type(group, option.field);
        line(fmt::format("  static constexpr {} {} = {};  // {}", type, name, fixed_value(type, option),
                         origin(option)));
      } else {
        line(fmt::format("  decltype(declared::{0}) {0} = declared().{0};", name));
      }
    }
    line("};");
    line("");
  }

  void options() {
    if (!has_options()) return;
    heading("boot options");
    std::vector<std::string> assignments;
    for (auto const& group : in_.options->groups) {
      if (group.generic) {
        configured_options(group);
        continue;
      }
      for (auto const& option : group.options) {
        if (!option.fixed) continue;
        auto const type = fmt::format("decltype({}.{})", group.member, option.field.name.value);
        assignments.push_back(fmt::format("    {}.{} = {};  // {}", group.member, option.field.name.value,
                                          fixed_value(type, option), origin(option)));
      }
    }
    line("struct boot_options {");
    if (!assignments.empty()) {
      line("  boot_options() {");
      for (auto const& one : assignments) line(one);
      line("  }");
    }
    for (auto const& group : in_.options->groups) {
      line(fmt::format("  {} {};", group.generic ? "configured_options" : global(group.type), group.member));
    }
    line("};");
    line("[[clang::no_destroy]] boot_options chosen;");
    if (has_boot_options()) table();
  }

  void table() {
    line("");
    line("constexpr morgana::boot_option options_table[] = {");
    for (auto const& group : in_.options->groups) {
      for (auto const& option : group.options) {
        if (option.fixed) continue;
        auto const owner = group.generic ? std::string("configured_options") : global(group.type);
        line(fmt::format("    morgana::option<&boot_options::{}, &{}::{}>({}, {}),", group.member, owner,
                         option.field.name.value, string_literal(option.name),
                         string_literal(in_.help ? option.field.documentation : std::string())));
      }
    }
    line("};");
  }

  void manifest() {
    if (in_.graph->nodes.empty()) return;
    line("");
    line("constexpr morgana::manifest_entry manifest[] = {");
    for (auto const& node : in_.graph->nodes) {
      auto const attached = to_string(node.implementation.attached);
      line(fmt::format("    {{{}, {}, {}, {}{}{}}},", string_literal(node.name),
                       string_literal(node.implementation.provides.value),
                       string_literal(node.implementation.name.value), string_literal(path_text(node)),
                       attached.empty() ? "" : ", morgana::attachment::", attached));
    }
    line("};");
  }

  /// The member of boot_options that is this node's, or empty.
  std::string options_of(std::size_t node) const {
    for (auto const& group : in_.options->groups) {
      if (group.node == node) return group.member;
    }
    return {};
  }

  /// How many nodes of the same implementation come before.
  std::size_t place_of(std::size_t node) const {
    auto const& nodes = in_.graph->nodes;
    auto const& of = nodes[node].implementation;
    std::size_t place = 0;
    for (std::size_t i = 0; i < node; ++i) {
      auto const& other = nodes[i].implementation;
      if (other.name.value == of.name.value && other.provides.value == of.provides.value) ++place;
    }
    return place;
  }

  void run() {
    heading("start");
    auto const& nodes = in_.graph->nodes;
    line(fmt::format("morgana::task<morgana::result<int>> run(morgana::device_stack&{}) {{",
                     nodes.empty() ? "" : " devices"));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      auto const& node = nodes[i];
      auto arguments = fmt::format("{}, {}ms", string_literal(path_text(node)),
                                   node.implementation.connect_timeout.count());
      if (node.implementation.takes_name) {
        auto const place = place_of(i);
        arguments += fmt::format(", morgana::device_name{{{}{}}}", string_literal(node.name),
                                 place == 0 ? std::string() : fmt::format(", {}", place));
      }
      for (auto const& need : node.needs) arguments += fmt::format(", **{}", local(nodes[need.node].name));
      if (auto const member = options_of(i); !member.empty()) arguments += fmt::format(", chosen.{}", member);
      auto const name = local(node.name);
      line(fmt::format("  auto {} = co_await devices.connect<{}>({});", name, alias(node.name), arguments));
      line(fmt::format("  if (!{0}) co_return morgana::failure(std::move({0}.error()));", name));
      line("");
    }
    std::vector<std::string> arguments;
    for (auto const& parameter : in_.needs->parameters) {
      arguments.push_back(parameter.what == start_parameter::kind::options ? std::string("chosen.app")
                                                                           : "**" + node_of(parameter.name));
    }
    line(fmt::format("  co_return co_await morgana::device_stack::status_of({}({}));",
                     global(in_.needs->qualified_start), fmt::join(arguments, ", ")));
    line("}");
  }

  std::string node_of(std::string const& parameter) const {
    for (auto const& node : in_.graph->nodes) {
      if (std::ranges::find(node.parameters, parameter) != node.parameters.end()) return local(node.name);
    }
    return local(parameter);
  }

  static std::string declaration(std::string const& constant) {
    auto const last = constant.rfind("::");
    auto const is_inner = last != std::string::npos;
    return fmt::format("namespace morgana{} {{ extern bool const {}; }}", is_inner ? "::" + constant.substr(0, last) : "",
                       is_inner ? constant.substr(last + 2) : constant);
  }

  /// What the image has and has not, when anything of it was chosen to be otherwise than it is by itself.
  void constants() {
    std::map<std::string, image_constant> values;
    bool is_chosen = false;
    for (auto const& node : in_.graph->nodes) {
      for (auto const& [name, declared] : node.implementation.config) {
        if (declared.constant.empty()) continue;
        auto const& value = node.config.at(name);
        is_chosen = is_chosen || value != declared.default_value;
        values.emplace(declared.constant,
                       image_constant{.name = declared.constant, .value = value, .choice = name, .owner = node.name});
      }
    }
    if (!is_chosen) values.clear();
    for (auto const& one : in_.constants) values.emplace(one.name, one);
    if (values.empty() && in_.help) return;
    heading("what the image has");
    // A device's header, which is included, declares its own; that of a package may be included or not.
    for (auto const& one : in_.constants) line(declaration(one.name));
    if (!in_.help) line("bool const morgana::features::help = false;  // `help`");
    for (auto const& [name, one] : values) {
      line(fmt::format("bool const morgana::{} = {};  // `{}` of `{}`", name, one.value, one.choice, one.owner));
    }
  }

  void left_out() {
    if (in_.options->left_out.empty()) return;
    line("");
    line("constexpr std::string_view left_out[] = {");
    for (auto const& name : in_.options->left_out) line(fmt::format("    {},", string_literal(name)));
    line("};");
  }

  void definition() {
    constants();
    line("");
    line("morgana::application const morgana::this_application{");
    line(fmt::format("    .name = {},", string_literal(in_.name)));
    line(fmt::format("    .options = {},", has_boot_options() ? "options_table" : "{}"));
    if (!in_.options->left_out.empty()) line("    .left_out = left_out,");
    line(fmt::format("    .manifest = {},", in_.graph->nodes.empty() ? "{}" : "manifest"));
    line(fmt::format("    .boot_options = {},",
                     has_options() ? "[]() -> void* { return &chosen; }" : "nullptr"));
    line("    .run = run,");
    line("};");
  }

  main_input const& in_;
  std::string out_;
};

}  // namespace

std::string main_source(main_input const& input) {
  return writer(input).write();
}

}  // namespace morgana::driver

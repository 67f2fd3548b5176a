#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "catalogue/placeholder.hpp"
#include "catalogue/read.hpp"
#include "description/names.hpp"

namespace morgana::driver {
namespace {

/// A concept's name: qualified, without "morgana::".
void check_concept(toml_table& in, std::string_view key) {
  if (in.kind(key) != toml_kind::text) return;  // said already
  auto const value = in.plain_text(key);
  if (value.empty()) return;
  if (value.starts_with("morgana::") || value.starts_with("::")) {
    auto const bare = value.substr(value.find("::") + 2);
    in.wrong_value(
        key,
        fmt::format("`{}` must be written without `{}`", value, value.substr(0, value.size() - bare.size())),
        {fmt::format("write `{} = \"{}\"`", key, bare)});
  } else if (!is_qualified_name(value)) {
    in.wrong_value(key, fmt::format("`{}` is no concept's name", value),
                   {"write a C++ name, like `net::stack`"});
  }
}

std::vector<device_need> read_needs(toml_table& in) {
  std::vector<device_need> result;
  for (auto& need : in.tables("needs")) {
    device_need one{need.require_text("name"), need.require_text("concept")};
    check_concept(need, "concept");
    if (!one.name.value.empty() && (!is_identifier(one.name.value) || one.name.value == "generated")) {
      need.wrong_value("name", fmt::format("`{}` cannot be the name of a need", one.name.value),
                       {"write a C++ identifier other than `generated`"});
    } else if (auto const same =
                   std::ranges::find(result, one.name.value, [](auto const& n) { return n.name.value; });
               same != result.end() && !one.name.value.empty()) {
      need.report({.code = "wrong-value",
                   .message = fmt::format("two needs are named `{}`", one.name.value),
                   .where = one.name.where,
                   .notes = {{"the first is here", same->name.where}},
                   .help = {"give each need a name of its own"}});
    }
    result.push_back(std::move(one));
  }
  return result;
}

void read_generator(toml_table& in, device& into) {
  auto generate = in.table("generate");
  if (!generate) return;
  if (generate->require_one_of("kind", {"embed_folder"})) into.generate = generator_kind::embed_folder;
  auto const from = generate->require_text("from");
  into.generate_from = from.value;
  if (from.value.empty()) return;
  auto const setting = into.config.find(from.value);
  if (setting != into.config.end() && setting->second.type == setting_type::path) return;
  generate->wrong_value("from", fmt::format("`{}` is no setting of type path of this device", from.value),
                        {fmt::format("declare `config = {{ {} = {{ type = \"path\" }} }}`", from.value)});
}

void check_placeholders(toml_table& in, device const& one) {
  std::vector<std::string> known;
  for (auto const& need : one.needs) known.push_back(need.name.value);
  for (auto const& [name, declared] : one.config) known.push_back("config." + name);
  if (one.generate != generator_kind::none) known.emplace_back("generated");
  auto const replaced =
      replace_placeholders(one.type, [&](std::string_view name) -> std::optional<std::string> {
        if (std::ranges::find(known, name) == known.end()) return std::nullopt;
        return std::string{};
      });
  if (replaced) return;
  diagnostic wrong{.code = "placeholder", .message = {}, .where = in.where("type")};
  if (replaced.error() == "{" || replaced.error() == "}") {
    wrong.message = fmt::format("a `{}` in `type` belongs to no placeholder", replaced.error());
    wrong.help = {"write {{ or }} for a brace of C++"};
  } else {
    wrong.message = replaced.error() == "generated"
                        ? std::string("{generated} in `type`, but nothing is generated")
                        : fmt::format("{{{}}} in `type` is neither a need nor a setting", replaced.error());
    if (auto const near = nearest(replaced.error(), known)) {
      wrong.help = {fmt::format("did you mean {{{}}}?", *near)};
    } else if (replaced.error() == "generated") {
      wrong.help = {"add `generate = { kind = \"embed_folder\", from = \"...\" }`"};
    } else if (known.empty()) {
      wrong.help = {"declare it in `needs` or `config`"};
    } else {
      wrong.help = {
          fmt::format("write one of {{{}}}, or declare it in `needs` or `config`", fmt::join(known, "}, {"))};
    }
  }
  in.report(std::move(wrong));
}

void read_attachment(toml_table& in, device& into) {
  auto const what = in.text("attached");
  if (!what) return;
  for (auto const one : {attachment::network, attachment::disk}) {
    if (what->value == to_string(one)) into.attached = one;
  }
  if (into.attached == attachment::none) {
    in.wrong_value("attached", fmt::format("a runner attaches no `{}`", what->value),
                   {"write \"network\" or \"disk\", or leave it out"});
  } else if (!into.takes_name) {
    in.wrong_value("attached", "what is attached is attached under a name, which this device does not take",
                   {"add `takes_name = true`"});
  }
}

device read_device(toml_table& in) {
  device one;
  one.where = in.where();
  one.name = in.require_text("name");
  if (!one.name.value.empty() && !is_setting_name(one.name.value)) {
    in.wrong_value("name", fmt::format("`{}` cannot be the name of a device", one.name.value),
                   {"use letters, digits, `_` and `-`, and begin with a letter"});
  }
  one.provides = in.require_text("provides");
  check_concept(in, "provides");
  one.type = in.require_text("type").value;
  one.header = in.require_text("header").value;
  one.needs = read_needs(in);
  one.config = read_setting_declarations(in, "config", {"use", "wrap"});
  if (auto options = in.text("options")) one.options = std::move(options->value);
  one.takes_name = in.boolean("takes_name").value_or(false);
  one.exclusive = in.boolean("exclusive").value_or(false) || one.takes_name;
  read_attachment(in, one);
  one.is_default = in.boolean("default").value_or(false);
  one.targets = in.plain_texts("targets");
  one.packages = in.plain_texts("packages");
  one.help = in.plain_text("help");
  if (auto const limit = in.integer("connect_timeout_ms", 1, 3'600'000)) {
    one.connect_timeout = std::chrono::milliseconds(*limit);
  }
  read_generator(in, one);
  check_concept(in, "wraps");
  if (auto wraps = in.text("wraps")) {
    auto const wrapped =
        std::ranges::count(one.needs, wraps->value, [](auto const& n) { return n.concept_name.value; });
    if (wraps->value != one.provides.value || wrapped != 1) {
      in.wrong_value(
          "wraps",
          fmt::format("a device that wraps `{}` must provide it and need it exactly once", wraps->value),
          {fmt::format("write `provides = \"{0}\"` and one need of concept \"{0}\"", wraps->value)});
    }
    one.wraps = std::move(wraps->value);
  }
  if (!one.type.empty()) check_placeholders(in, one);
  return one;
}

}  // namespace

std::string_view to_string(attachment what) {
  switch (what) {
    case attachment::none:
      return {};
    case attachment::network:
      return "network";
    case attachment::disk:
      return "disk";
  }
  return {};
}

catalogue read_device_entries(toml_table& root) {
  catalogue result;
  for (auto& entry : root.tables("device")) {
    auto one = read_device(entry);
    auto const same = std::ranges::find_if(result.devices, [&](device const& other) {
      return other.name.value == one.name.value && other.provides.value == one.provides.value &&
             other.targets == one.targets;
    });
    if (same != result.devices.end() && !one.name.value.empty()) {
      entry.report({.code = "wrong-value",
                    .message = fmt::format("two devices that provide `{}` are named `{}`", one.provides.value,
                                           one.name.value),
                    .where = one.name.where,
                    .notes = {{"the first is here", same->name.where}},
                    .help = {"give each a name of its own"}});
    }
    result.devices.push_back(std::move(one));
  }
  return result;
}

outcome<catalogue> parse_catalogue(std::string_view text, std::filesystem::path const& file) {
  auto document = toml_document::parse(text, file);
  if (!document) return fail(std::move(document));
  auto root = document->root();
  auto result = read_device_entries(root);
  return document->finish(std::move(result));
}

}  // namespace morgana::driver

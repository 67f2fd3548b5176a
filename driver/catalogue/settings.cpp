#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "catalogue/read.hpp"
#include "description/names.hpp"
#include "morgana/driver/description.hpp"

namespace morgana::driver {
namespace {

std::string list(std::vector<std::string> const& names) {
  return fmt::format("`{}`", fmt::join(names, "`, `"));
}

std::vector<std::string> names_of(std::map<std::string, setting_declaration> const& declared) {
  std::vector<std::string> result;
  for (auto const& [name, one] : declared) result.push_back(name);
  return result;
}

std::string form_of(setting_declaration const& declared) {
  if (!declared.values.empty()) return fmt::format("write one of {}", list(declared.values));
  switch (declared.type) {
    case setting_type::text:
      return "write text";
    case setting_type::boolean:
      return "write `true` or `false`";
    case setting_type::unsigned_integer:
      return "write a whole number from 0 on";
    case setting_type::size:
      return std::string(size_help);
    case setting_type::path:
      return "write a path relative to the application's folder";
  }
  return {};
}

/// Adds how a setting without a place was given.
void say_where(diagnostic& one, setting const& given, setting_layer const& layer, std::string const& name,
               bool at_name) {
  if (given.where.file.empty()) {
    one.notes.push_back(
        {fmt::format("given on the command line: {}{}={}", layer.flag_prefix, name, given.value)});
  } else {
    one.where = at_name ? given.where_name : given.where;
  }
}

}  // namespace

std::expected<std::string, std::string> normalize_setting(setting_declaration const& declared,
                                                          std::string_view value) {
  if (!declared.values.empty() && std::ranges::find(declared.values, value) == declared.values.end()) {
    return std::unexpected(fmt::format("is not one of {}", list(declared.values)));
  }
  switch (declared.type) {
    case setting_type::text:
      break;
    case setting_type::boolean:
      if (value != "true" && value != "false") return std::unexpected("is neither `true` nor `false`");
      break;
    case setting_type::unsigned_integer: {
      std::uint64_t number = 0;
      auto const [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error == std::errc::result_out_of_range) return std::unexpected("is too large");
      if (error != std::errc{} || end != value.data() + value.size())
        return std::unexpected("is no whole number");
      return fmt::format("{}", number);
    }
    case setting_type::size: {
      auto const bytes = parse_size(value);
      if (!bytes) return std::unexpected("is no size");
      return fmt::format("{}", *bytes);
    }
    case setting_type::path: {
      auto path = std::filesystem::path(value).lexically_normal();
      if (value.empty()) return std::unexpected("is no path");
      if (value.find('\0') != std::string_view::npos) return std::unexpected("holds a zero byte");
      if (path.is_absolute()) return std::unexpected("is an absolute path");
      if (!path.has_filename() && path.has_parent_path()) path = path.parent_path();  // "htdocs/" is "htdocs"
      return path.string();
    }
  }
  return std::string(value);
}

outcome<std::map<std::string, std::string>> evaluate_settings(
    std::map<std::string, setting_declaration> const& declared, std::vector<setting_layer> const& layers,
    std::string_view owner, std::string_view table, std::optional<source_location> const& whole) {
  diagnostics wrong;
  std::map<std::string, std::string> result;
  std::map<std::string, bool> given;
  for (auto const& layer : layers) {
    for (auto const& [name, value] : *layer.settings) {
      auto const found = declared.find(name);
      if (found == declared.end()) {
        if (layer.lenient) continue;
        diagnostic one{.code = "unknown-name", .message = fmt::format("{} has no setting `{}`", owner, name)};
        say_where(one, value, layer, name, true);
        auto const known = names_of(declared);
        if (auto const near = nearest(name, known))
          one.help = {fmt::format("did you mean `{}`?", *near)};
        else if (known.empty())
          one.help = {"remove it; there are no settings here"};
        else
          one.help = {fmt::format("remove it; the settings here are {}", list(known))};
        wrong.push_back(std::move(one));
        continue;
      }
      auto normal = normalize_setting(found->second, value.value);
      auto const strongest = given.emplace(name, true).second;
      if (normal) {
        if (strongest) result.emplace(name, std::move(*normal));
        continue;
      }
      diagnostic one{.code = "wrong-value",
                     .message = fmt::format("`{}` {}, so it cannot be `{}` of {}", value.value,
                                            normal.error(), name, owner)};
      say_where(one, value, layer, name, false);
      if (auto const near = nearest(value.value, found->second.values)) {
        one.help.push_back(fmt::format("did you mean `{}`?", *near));
      }
      one.help.push_back(form_of(found->second));
      wrong.push_back(std::move(one));
    }
  }
  for (auto const& [name, one] : declared) {
    if (given.contains(name)) continue;
    if (one.default_value) {
      result.emplace(name, *one.default_value);
    } else {
      diagnostic missing{.code = "missing-setting",
                         .message = fmt::format("{} needs the setting `{}`", owner, name),
                         .where = whole,
                         .notes = {{one.help.empty() ? "declared here" : one.help, one.name.where}}};
      auto const prefix = layers.empty() ? std::string("--") : layers.front().flag_prefix;
      missing.help = {
          fmt::format("add `{} = ...` to {} in unikernel.toml, or give {}{}=...", name, table, prefix, name)};
      wrong.push_back(std::move(missing));
    }
  }
  if (!wrong.empty()) return std::unexpected<diagnostics>(std::move(wrong));
  return result;
}

std::map<std::string, setting_declaration> read_setting_declarations(
    toml_table& in, std::string_view key, std::vector<std::string> const& reserved) {
  std::map<std::string, setting_declaration> result;
  auto settings = in.table(key);
  if (!settings) return result;
  for (auto const& name : settings->keys()) {
    auto table = settings->table(name.value);
    if (!table) continue;
    setting_declaration one{.name = name,
                            .type = setting_type::text,
                            .default_value = {},
                            .help = {},
                            .values = {},
                            .unique = false};
    if (!is_setting_name(name.value) || std::ranges::find(reserved, name.value) != reserved.end()) {
      settings->report(
          {.code = "wrong-value",
           .message = fmt::format("`{}` cannot be the name of a setting", name.value),
           .where = name.where,
           .help = {reserved.empty() || !is_setting_name(name.value)
                        ? std::string("use letters, digits, `_` and `-`, and begin with a letter")
                        : fmt::format("choose another name; {} are taken", list(reserved))}});
    }
    auto const type = table->require_one_of("type", {"text", "boolean", "uint", "size", "path"});
    one.help = table->plain_text("help");
    one.values = table->plain_texts("values");
    one.unique = table->boolean("unique").value_or(false);
    if (auto constant = table->text("constant")) {
      if (!is_qualified_name(constant->value) || constant->value.starts_with("morgana::")) {
        table->wrong_value("constant", fmt::format("`{}` is no variable's name", constant->value),
                           {"write a C++ name without `morgana::`, like `net::features::ipv6`"});
      } else if (type && type->value != "boolean") {
        table->wrong_value("constant", "only a choice of type boolean can be a constant of the image",
                           {"write `type = \"boolean\"`"});
      }
      one.constant = std::move(constant->value);
    }
    one.options = table->plain_texts("options");
    if (!one.options.empty() && one.constant.empty()) {
      table->wrong_value("options", "options are left out by a choice that is a constant of the image, and this is none",
                         {"add `constant = \"...\"`"});
    }
    if (type) {
      one.type = type->value == "boolean" ? setting_type::boolean
                 : type->value == "uint"  ? setting_type::unsigned_integer
                 : type->value == "size"  ? setting_type::size
                 : type->value == "path"  ? setting_type::path
                                          : setting_type::text;
    }
    if (auto const value = table->scalar("default"); value && type) {
      auto normal = normalize_setting(one, value->value);
      if (normal) {
        one.default_value = std::move(*normal);
      } else {
        table->wrong_value("default", fmt::format("the default `{}` {}", value->value, normal.error()),
                           {form_of(one)});
      }
    }
    result.emplace(name.value, std::move(one));
  }
  return result;
}

}  // namespace morgana::driver

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "description/names.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {
namespace {

/// A path in the description: relative, so that the application can move.
void check_relative(toml_table& in, located_string const& path) {
  if (path.value.empty()) {
    in.report({.code = "wrong-value",
               .message = "a path must not be empty",
               .where = path.where,
               .help = {"name a file or folder, relative to the folder of unikernel.toml"}});
  } else if (path.value.front() == '/') {
    in.report(
        {.code = "wrong-value",
         .message = fmt::format("`{}` is an absolute path", path.value),
         .where = path.where,
         .help = {"write it relative to the folder of unikernel.toml, so that the application can move"}});
  }
}

std::vector<located_string> relative_paths(toml_table& in, std::string_view key) {
  auto result = in.texts(key);
  for (auto const& one : result) check_relative(in, one);
  return result;
}

/// A device setting: any scalar; for `wrap` also a list of names.
std::optional<setting> device_setting(toml_table& in, std::string const& key) {
  if (key != "wrap" || in.kind(key) != toml_kind::array) return in.scalar(key);
  setting result{{}, in.where(key), in.where_key(key)};
  for (auto const& one : in.texts(key)) result.value += (result.value.empty() ? "" : ",") + one.value;
  return result;
}

std::map<std::string, device_choice> read_devices(toml_table& in) {
  std::map<std::string, device_choice> result;
  auto devices = in.table("devices");
  if (!devices) return result;
  for (auto const& name : devices->keys()) {
    if (!is_identifier(name.value)) {
      devices->allow(name.value);
      devices->report({.code = "wrong-value",
                       .message = fmt::format("`{}` cannot be the name of a parameter", name.value),
                       .where = name.where,
                       .help = {"name a parameter of start(), as it is spelled there"}});
      continue;
    }
    if (devices->kind(name.value) == toml_kind::text) {
      devices->allow(name.value);
      devices->wrong_value(name.value, fmt::format("`{}` must be a table, but it is text", name.value),
                           {fmt::format("write `{}.use = \"...\"`", name.value)});
      continue;
    }
    auto table = devices->table(name.value);
    if (!table) continue;
    device_choice choice{.parameter = name, .use = {}, .settings = {}};
    if (table->has("use")) choice.use = table->require_text("use");
    for (auto const& key : table->keys()) {
      if (key.value == "use") continue;
      if (auto value = device_setting(*table, key.value))
        choice.settings.emplace(key.value, std::move(*value));
    }
    result.emplace(name.value, std::move(choice));
  }
  return result;
}

std::map<std::string, package_choice> read_package_choices(toml_table& in) {
  std::map<std::string, package_choice> result;
  auto packages = in.table("choices");
  if (!packages) return result;
  for (auto const& name : packages->keys()) {
    auto table = packages->table(name.value);
    if (!table) continue;
    package_choice one{.package = name, .settings = {}};
    for (auto const& key : table->keys()) {
      if (auto value = table->scalar(key.value)) one.settings.emplace(key.value, std::move(*value));
    }
    result.emplace(name.value, std::move(one));
  }
  return result;
}

/// Options, those of devices too: `network.port = 1` and `[options.network]` both give "network.port".
void read_options_below(toml_table in, std::string const& prefix, setting_map& into) {
  for (auto const& key : in.keys()) {
    auto const name = prefix + key.value;
    if (in.kind(key.value) == toml_kind::table) {
      if (auto inner = in.table(key.value)) read_options_below(*inner, name + ".", into);
    } else if (auto value = in.scalar(key.value)) {
      auto const [at, added] = into.emplace(name, *value);
      if (!added) {
        in.report({.code = "wrong-value",
                   .message = fmt::format("the option `{}` is given twice", name),
                   .where = key.where,
                   .notes = {{"first given here", at->second.where_name}},
                   .help = {"keep one of the two"}});
      }
    }
  }
}

setting_map read_options(toml_table& in) {
  setting_map result;
  if (auto options = in.table("options")) read_options_below(*options, "", result);
  return result;
}

std::map<std::string, target_section> read_targets(toml_table& in) {
  std::map<std::string, target_section> result;
  auto targets = in.table("target");
  if (!targets) return result;
  for (auto const& name : targets->keys()) {
    auto table = targets->table(name.value);
    if (!table) continue;
    if (!is_target_name(name.value)) {
      table->allow_all();
      targets->report({.code = "wrong-value",
                       .message = fmt::format("`{}` cannot be the name of a target", name.value),
                       .where = name.where,
                       .help = {"`morgana targets` lists the names there are"}});
      continue;
    }
    target_section section{
        .target = name, .devices = read_devices(*table), .options = read_options(*table), .settings = {}};
    for (auto const& key : table->keys()) {
      if (key.value == "devices" || key.value == "options") continue;
      if (auto value = table->scalar(key.value)) section.settings.emplace(key.value, std::move(*value));
    }
    result.emplace(name.value, std::move(section));
  }
  return result;
}

setting_map read_budgets(toml_table& in) {
  setting_map result;
  auto budgets = in.table("budgets");
  if (!budgets) return result;
  if (auto image = budgets->scalar("image")) {
    if (!parse_size(image->value)) {
      budgets->wrong_value("image", fmt::format("`{}` is no size", image->value), {std::string(size_help)});
    } else {
      result.emplace("image", std::move(*image));
    }
  }
  return result;
}

void check_name(toml_table& in, located_string const& name) {
  if (name.value.empty() || is_application_name(name.value)) return;
  std::vector<std::string> help{"use a-z, 0-9 and `-`, begin with a letter, and write at most 63 characters"};
  if (auto const better = application_name_from(name.value); !better.empty()) {
    help.insert(help.begin(), fmt::format("write `name = \"{}\"`", better));
  }
  in.wrong_value("name", fmt::format("`{}` cannot be the name of an application", name.value),
                 std::move(help));
}

}  // namespace

outcome<description> parse_description(std::string_view text, std::filesystem::path const& file) {
  auto document = toml_document::parse(text, file);
  if (!document) return fail(std::move(document));
  auto root = document->root();

  description result;
  result.file = file;
  result.folder = file.parent_path();
  result.name = root.require_text("name");
  check_name(root, result.name);
  result.entry = {"unikernel.hpp", source_location{file}};
  if (auto entry = root.text("entry")) {
    check_relative(root, *entry);
    result.entry = std::move(*entry);
  }
  result.sources = relative_paths(root, "sources");
  result.include = relative_paths(root, "include");
  result.packages = root.texts("packages");
  result.repositories = relative_paths(root, "repositories");
  result.catalogues = relative_paths(root, "catalogues");
  result.help = root.boolean("help").value_or(true);
  result.devices = read_devices(root);
  result.package_choices = read_package_choices(root);
  result.options = read_options(root);
  result.targets = read_targets(root);
  result.budgets = read_budgets(root);
  return document->finish(std::move(result));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t value = 0;
  auto const* const end = text.data() + text.size();
  auto const [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  constexpr std::array units{std::pair{std::string_view(""), 0}, std::pair{std::string_view("KiB"), 10},
                             std::pair{std::string_view("MiB"), 20}, std::pair{std::string_view("GiB"), 30},
                             std::pair{std::string_view("TiB"), 40}};
  auto const known = std::ranges::find(units, unit, &std::pair<std::string_view, int>::first);
  if (known == units.end() || (unit.empty() && rest != end)) return std::nullopt;
  if (value > (std::numeric_limits<std::uint64_t>::max() >> known->second)) return std::nullopt;
  return value << known->second;
}

}  // namespace morgana::driver

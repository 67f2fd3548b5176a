#include <fmt/format.h>

#include <algorithm>

#include "catalogue/read.hpp"
#include "description/names.hpp"
#include "morgana/driver/target.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {
namespace {

/// unix/unix.toml is "unix", xen/x86_64.toml is "xen-x86_64".
void check_name(toml_table& in, located_string const& name, std::filesystem::path const& file) {
  if (name.value.empty()) return;
  auto const stem = file.stem().string();
  auto const longer = fmt::format("{}-{}", file.parent_path().filename().string(), stem);
  if (!is_target_name(name.value)) {
    in.wrong_value("name", fmt::format("`{}` cannot be the name of a target", name.value),
                   {"use a-z, 0-9, `-` and `_`, begin with a letter, and write at most 63 characters"});
  } else if (name.value != stem && name.value != longer) {
    in.wrong_value(
        "name",
        fmt::format("the target `{}` must not be in a file named {}", name.value, file.filename().string()),
        {fmt::format("write `name = \"{}\"`, or rename the folder and the file", stem)});
  }
}

/// False when the plugin speaks another version: its other keys may then mean anything.
bool read_api(toml_table& in, target& into) {
  if (!in.has("api")) {
    in.report({.code = "missing-name",
               .message = "`api` is missing",
               .where = in.where(),
               .help = {fmt::format("add `api = [{}, {}]`", plugin_api_major, plugin_api_minor)}});
    in.allow("api");
    return true;
  }
  auto const numbers = in.integers("api", 0, 1'000'000);
  if (!numbers) return true;
  if (numbers->size() != 2) {
    in.wrong_value("api", "`api` must be two numbers, major and minor",
                   {fmt::format("write `api = [{}, {}]`", plugin_api_major, plugin_api_minor)});
    return true;
  }
  into.api_major = static_cast<std::uint32_t>((*numbers)[0]);
  into.api_minor = static_cast<std::uint32_t>((*numbers)[1]);
  if (into.api_major == plugin_api_major) return true;
  in.report(
      {.code = "plugin-api",
       .message = fmt::format("the plugin is written for plugin interface {}.{}, this morgana speaks {}.{}",
                              into.api_major, into.api_minor, plugin_api_major, plugin_api_minor),
       .where = in.where("api"),
       .help = {into.api_major > plugin_api_major
                    ? "upgrade morgana, or install an older version of the plugin"
                    : "install a newer version of the plugin, or port it to this interface"}});
  return false;
}

void read_guest(toml_table& root, target& into) {
  auto guest = root.require_table("guest");
  if (!guest) return;
  into.platform_api = static_cast<int>(guest->require_integer("platform_api", 1, 1'000'000).value_or(0));
  if (into.platform_api != 0 && into.platform_api != platform_api_version) {
    guest->report(
        {.code = "platform-api",
         .message = fmt::format("the target implements platform interface {}, this runtime needs {}",
                                into.platform_api, platform_api_version),
         .where = guest->where("platform_api"),
         .help = {into.platform_api > platform_api_version ? "upgrade morgana"
                                                           : "install a newer version of the plugin"}});
  }
  into.guest_sources = guest->plain_texts("sources");
  into.guest_hot = guest->plain_texts("hot");
  into.guest_include = guest->plain_texts("include");
  into.guest_packages = guest->plain_texts("packages");
  if (auto const script = guest->text("link_script")) into.link_script = into.folder / script->value;
}

/// Flags; `{SETTING?A:B}` in them must name a boolean setting. Other braces are the linker's own business.
std::vector<std::string> read_flags(toml_table& in, std::string_view key,
                                    std::map<std::string, setting_declaration> const& settings) {
  std::vector<std::string> result;
  std::vector<std::string> booleans;
  for (auto const& [name, one] : settings) {
    if (one.type == setting_type::boolean) booleans.push_back(name);
  }
  for (auto& flag : in.texts(key)) {
    for (std::size_t at = 0; (at = flag.value.find('{', at)) != std::string::npos; ++at) {
      auto const question = flag.value.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", at + 1);
      if (question == std::string::npos || flag.value[question] != '?') continue;
      auto const name = flag.value.substr(at + 1, question - at - 1);
      auto const end = flag.value.find('}', question);
      auto const colon = flag.value.find(':', question);
      diagnostic wrong{.code = "placeholder", .message = {}, .where = flag.where};
      if (std::ranges::find(booleans, name) == booleans.end()) {
        wrong.message = fmt::format("`{}` in a flag is no boolean setting of this target", name);
        if (auto const near = nearest(name, booleans))
          wrong.help = {fmt::format("did you mean `{}`?", *near)};
        else
          wrong.help = {
              fmt::format("declare it: [settings] {} = {{ type = \"boolean\", default = \"false\" }}", name)};
      } else if (end == std::string::npos || colon == std::string::npos || colon > end) {
        wrong.message = fmt::format("the choice by `{}` is not complete", name);
        wrong.help = {fmt::format("write {{{}?WHEN TRUE:WHEN FALSE}}", name)};
      } else {
        continue;
      }
      in.report(std::move(wrong));
    }
    result.push_back(std::move(flag.value));
  }
  return result;
}

void read_numbers(toml_table& root, std::string_view key, std::int64_t most,
                  std::map<std::string, std::uint64_t>& into) {
  auto table = root.table(key);
  if (!table) return;
  for (auto const& name : table->keys()) {
    if (auto const number = table->integer(name.value, 0, most)) {
      into.emplace(name.value, static_cast<std::uint64_t>(*number));
    }
  }
}

void read_rest(toml_table& root, target& into) {
  into.settings = read_setting_declarations(root, "settings", {"devices", "options"});
  if (auto compile = root.table("compile")) {
    into.flags = read_flags(*compile, "flags", into.settings);
    into.c_flags = read_flags(*compile, "c_flags", into.settings);
    into.cxx_flags = read_flags(*compile, "cxx_flags", into.settings);
    into.hot_flags = read_flags(*compile, "hot_flags", into.settings);
    into.sysroot = read_flags(*compile, "sysroot", into.settings);
  }
  if (auto link = root.table("link")) {
    into.link_flags = read_flags(*link, "flags", into.settings);
    into.undefined_help = link->plain_text("undefined_help");
  }
  if (auto runner = root.table("runner")) {
    into.runner = runner->plain_texts("command");
    into.capabilities = runner->plain_texts("capabilities");
    if (!runner->has("command")) {
      runner->report({.code = "missing-name",
                      .message = "`command` is missing in [runner]",
                      .where = runner->where(),
                      .help = {"add `command = [\"PROGRAM\"]`, relative to the plugin's folder or on PATH"}});
    }
  }
  if (auto artefacts = root.table("artefacts")) {
    for (auto const& name : artefacts->keys()) {
      if (auto const text = artefacts->text(name.value)) into.artefacts.emplace(name.value, text->value);
    }
  }
  for (auto& one : root.tables("launch_file")) {
    launch_file file{.artefact = one.require_text("artefact"), .text = one.require_text("text")};
    file.network = one.text("network");
    file.disk = one.text("disk");
    file.option = one.text("option");
    if (!file.artefact.value.empty() && !into.artefacts.contains(file.artefact.value)) {
      one.wrong_value("artefact", fmt::format("there is no artefact `{}`", file.artefact.value),
                      {fmt::format("add `{} = \"FILE\"` to [artefacts]", file.artefact.value)});
    }
    into.launch_files.push_back(std::move(file));
  }
  if (auto debug = root.table("debug")) {
    into.debug.command = debug->plain_texts("command");
    into.debug.by_hand = debug->plain_texts("by_hand");
    into.debug.waits = debug->boolean("waits").value_or(false);
  }
  if (auto required = root.table("requires")) {
    for (auto& tool : required->tables("tools")) {
      into.tools.push_back(
          {tool.require_text("command").value, tool.plain_text("package"), tool.plain_text("why")});
    }
  }
  constexpr auto any = std::numeric_limits<std::int64_t>::max();
  read_numbers(root, "limits", any, into.limits);
  read_numbers(root, "exit_codes", 255, into.exit_codes);
}

}  // namespace

outcome<target> parse_target(std::string_view text, std::filesystem::path const& file) {
  auto document = toml_document::parse(text, file);
  if (!document) return fail(std::move(document));
  auto root = document->root();
  target result;
  result.file = file;
  result.folder = file.parent_path();
  if (!root.require_schema(1, "target-schema") || !read_api(root, result)) {
    document->ignore_unknown();
    return document->finish(std::move(result));
  }
  auto const name = root.require_text("name");
  check_name(root, name, file);
  result.name = name.value;
  result.summary = root.plain_text("summary");
  result.is_default = root.boolean("default").value_or(false);
  result.tier = static_cast<int>(root.integer("tier", 1, 3).value_or(3));
  result.triple = root.require_text("triple").value;
  if (auto const library = root.text("library")) result.library = result.folder / library->value;
  if (auto const more = root.text("catalogue")) result.catalogue_file = result.folder / more->value;
  read_guest(root, result);
  read_rest(root, result);
  result.devices = read_device_entries(root);
  return document->finish(std::move(result));
}

outcome<target> read_target(std::filesystem::path const& file) {
  auto text = read_text_file(file);
  if (!text) return fail(std::move(text));
  auto result = parse_target(*text, file);
  if (!result) return result;
  catalogue devices;
  merge(devices, std::move(result->devices), result->name);
  if (result->catalogue_file) {
    auto more_text = read_text_file(*result->catalogue_file);
    if (!more_text) {
      more_text.error().front().notes.push_back({"named as the `catalogue` of this target", source_location{file}});
      return fail(std::move(more_text));
    }
    auto more = parse_catalogue(*more_text, *result->catalogue_file);
    if (!more) return fail(std::move(more));
    merge(devices, std::move(*more), result->name);
  }
  result->devices = std::move(devices);
  return result;
}

}  // namespace morgana::driver

#include "workspace/launch_files.hpp"

#include <fmt/format.h>

#include "catalogue/placeholder.hpp"

namespace morgana::driver {
namespace {

class filler {
 public:
  explicit filler(configuration const& what) : in_(what) {}

  outcome<std::string> fill(launch_file const& file) {
    auto networks = devices(file.network, attachment::network);
    if (!networks) return networks;
    auto disks = devices(file.disk, attachment::disk);
    if (!disks) return disks;
    auto options = boot_options(file.option);
    if (!options) return options;
    return replace(file.text, [&](std::string_view name) -> std::optional<std::string> {
      if (name == "networks") return *networks;
      if (name == "disks") return *disks;
      if (name == "options") return *options;
      return general(name);
    });
  }

 private:
  static outcome<std::string> replace(located_string const& text, placeholder_lookup const& lookup) {
    auto out = replace_placeholders(text.value, lookup);
    if (out) return *std::move(out);
    auto const is_brace = out.error() == "{" || out.error() == "}";
    return fail({.code = "placeholder",
                 .message = is_brace ? fmt::format("a `{}` belongs to no placeholder", out.error())
                                     : fmt::format("{{{}}} stands for nothing here", out.error()),
                 .where = text.where,
                 .help = {is_brace ? "write {{ or }} for a brace"
                                   : "docs/writing-a-plugin.md lists what a launch file may name"}});
  }

  [[nodiscard]] std::optional<std::string> general(std::string_view name) const {
    constexpr std::string_view of_setting = "setting.";
    auto const kib = in_.settings.memory_bytes() >> 10;
    if (name == "name") return in_.app.name.value;
    if (name == "target") return in_.on.name;
    if (name == "image") return in_.image;
    if (name == "version") return std::string(morgana_version);
    if (name == "memory_kib") return std::to_string(kib);
    if (name == "memory_mib") return std::to_string((kib + 1023) / 1024);
    if (!name.starts_with(of_setting)) return std::nullopt;
    auto const found = in_.settings.values.find(std::string(name.substr(of_setting.size())));
    return found == in_.settings.values.end() ? std::nullopt : std::optional(found->second);
  }

  [[nodiscard]] outcome<std::string> devices(std::optional<located_string> const& text,
                                             attachment kind) const {
    std::string out;
    int slot = 0;
    for (auto const& node : in_.graph.nodes) {
      if (!text || node.implementation.attached != kind) continue;
      auto one = replace(*text, [&](std::string_view name) -> std::optional<std::string> {
        if (name == "name") return node.name;
        if (name == "slot") return std::to_string(slot);
        if (name == "letter") return std::string(1, static_cast<char>('a' + slot % 26));
        return std::nullopt;
      });
      if (!one) return one;
      out += *one;
      ++slot;
    }
    return out;
  }

  [[nodiscard]] outcome<std::string> boot_options(std::optional<located_string> const& text) const {
    std::string out;
    for (auto const& group : in_.options.groups) {
      for (auto const& option : group.options) {
        if (!text || option.fixed) continue;
        auto const& field = option.field;
        auto one = replace(*text, [&](std::string_view name) -> std::optional<std::string> {
          if (name == "name") return option.name;
          if (name == "default")
            return field.default_value.empty() ? field.default_source : field.default_value;
          if (name == "help") return field.documentation;
          return std::nullopt;
        });
        if (!one) return one;
        out += *one;
      }
    }
    return out;
  }

  configuration const& in_;
};

}  // namespace

outcome<std::vector<plan_file>> launch_files(configuration const& what) {
  std::vector<plan_file> out;
  for (auto const& file : what.on.launch_files) {
    auto text = filler(what).fill(file);
    if (!text) return fail(std::move(text));
    out.push_back({.path = what.state.artefacts.at(file.artefact.value), .text = *std::move(text)});
  }
  return out;
}

}  // namespace morgana::driver

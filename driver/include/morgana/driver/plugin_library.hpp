// A plugin's shared library: what a target does that data cannot say (morgana/plugin/plugin.h).
//
//   auto library = plugin_library::load(target);              // nothing when the plugin is all data
//   auto answer = library->call("lower", request_json);       // nothing: the driver does its default
//
// The library runs inside the driver: it is the author's code and trusted as such, but what it answers is
// checked before anyone reads it. A plugin that breaks the contract gives one diagnostic that names it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {

/// Answers larger than this are refused, bytes.
inline constexpr std::size_t plugin_response_bytes_max = 64u << 20;

class plugin_library {
 public:
  /// Opens the target's library. A null pointer when it names none.
  /// Errors: `plugin-library` (it cannot be loaded, the loader's words; no entry point; no object),
  /// `plugin-api` (another major version; both numbers).
  [[nodiscard]] static outcome<std::unique_ptr<plugin_library>> load(target const& on);

  plugin_library(plugin_library const&) = delete;
  plugin_library& operator=(plugin_library const&) = delete;
  virtual ~plugin_library() = default;

  /// Calls a verb with a JSON object. The answer is the text of a JSON object, or nothing when the plugin
  /// does not have the verb. Errors: the plugin's own diagnostics, or `plugin-response` (it answered what the
  /// contract does not allow: no answer, two, no JSON object, too much, an unknown status, a failure without
  /// a diagnostic).
  [[nodiscard]] virtual outcome<std::optional<std::string>> call(std::string_view verb,
                                                                 std::string_view request_json) = 0;

 protected:
  plugin_library() = default;
};

/// Answer of `describe`.
struct plugin_description {
  std::vector<std::string> capabilities, verbs;
};

/// Answer of `command:NAME`.
struct plugin_command_result {
  int exit = 0;
  std::string output;
};

// The verbs with a plain answer, typed. A verb that is not there gives an empty answer (no command: nothing).
// Errors: those of call().
[[nodiscard]] outcome<plugin_description> describe(plugin_library& plugin);
/// What this host lacks; warnings and errors, each with what to do.
[[nodiscard]] outcome<diagnostics> check_host(plugin_library& plugin, std::string_view target_name);
/// Artefacts by name.
[[nodiscard]] outcome<std::map<std::string, std::filesystem::path>> package(
    plugin_library& plugin, std::string_view target_name, std::filesystem::path const& image,
    std::filesystem::path const& build_folder);
[[nodiscard]] outcome<std::optional<plugin_command_result>> run_command(
    plugin_library& plugin, std::string_view name, std::vector<std::string> const& arguments);

}  // namespace morgana::driver

// The plan: everything a build will write and run, as one value. The Ninja writer prints it, golden tests
// read it, --dry-run shows it, and nothing is on disk before apply().
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

/// A Ninja rule. `command` may use $in, $out and the edge's variables.
struct plan_rule {
  std::string name = {};
  std::string command = {};
  std::string description = {};
  std::string depfile = {};                  ///< "$out.d" or empty
  friend bool operator==(plan_rule const&, plan_rule const&) = default;
};

/// One step of the build. Paths are relative to the build folder or absolute.
struct plan_edge {
  std::string rule = {};
  std::vector<std::string> outputs = {};
  std::vector<std::string> inputs = {};
  std::vector<std::string> implicit_inputs = {};
  std::vector<std::string> order_only = {};
  std::map<std::string, std::string> variables = {};
  friend bool operator==(plan_edge const&, plan_edge const&) = default;
};

/// A file that configure writes, by its path relative to the build folder.
struct plan_file {
  std::filesystem::path path = {};
  std::string text = {};                     ///< its bytes; of a link: what it points at
  /// A link gives a folder outside the build one name in every build, so that commands, and with them the
  /// image, do not depend on where that folder is.
  enum class kind { text, link } what = kind::text;
};

/// One entry of compile_commands.json.
struct compile_command {
  std::filesystem::path directory = {};
  std::filesystem::path file = {};
  std::vector<std::string> arguments = {};
};

struct build_plan {
  std::map<std::string, std::string> variables = {};
  std::vector<plan_rule> rules = {};
  std::vector<plan_edge> edges = {};
  std::vector<std::string> defaults = {};
  std::vector<plan_file> files = {};
  std::vector<compile_command> compile_commands = {};
  /// Where compile_commands.json goes, relative to the build folder.
  std::filesystem::path compile_commands_path = "compile_commands.json";
};

/// One word of a shell command in a rule: quoted for the shell where it must be, `$` doubled for Ninja.
[[nodiscard]] std::string ninja_word(std::string_view word);
/// Several, with spaces between them.
[[nodiscard]] std::string ninja_words(std::vector<std::string> const& words);

/// build.ninja; equal plans give equal bytes.
[[nodiscard]] std::string to_ninja(build_plan const& plan);
[[nodiscard]] std::string to_compile_commands(build_plan const& plan);

/// What apply() would do, one line each ("write build/unix/main.gen.cpp, 1,204 bytes", "unchanged ...").
[[nodiscard]] std::vector<std::string> actions(build_plan const& plan, std::filesystem::path const& build_folder);

/// Writes the files, build.ninja and compile_commands.json; a file whose bytes are equal is not touched, a
/// changed one is written beside its place and renamed. Errors: `write-failed`.
[[nodiscard]] outcome<void> apply(build_plan const& plan, std::filesystem::path const& build_folder);

}  // namespace morgana::driver

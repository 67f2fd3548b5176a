// The workspace: an application's folder, its build folder, and the way from one to the other.
//
//   description → target → packages → requirements → graph → packages of chosen nodes → lock → plan
//
// configure() reads files and fills the package cache, but writes nothing into the workspace: what it gives
// can be shown (--dry-run) or written by commit(). Packages are fetched by it, and compiled only when a build
// needs them: by build_missing_packages(). build() then runs Ninja. Everything that decides about the
// result is stamped in build/morgana.json, so that a build with nothing to do costs a walk over file times.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/codegen.hpp"
#include "morgana/driver/description.hpp"
#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/graph.hpp"
#include "morgana/driver/lock.hpp"
#include "morgana/driver/package.hpp"
#include "morgana/driver/plan.hpp"
#include "morgana/driver/requirements.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {

/// The version of this driver.
inline constexpr std::string_view morgana_version = "0.1.0";

struct configure_request {
  std::filesystem::path application;                 ///< its folder, or unikernel.toml
  std::optional<std::string> target = std::nullopt;  ///< none: MORGANA_TARGET, the last one, the default one
  std::map<std::string, std::string> options = {};   ///< --NAME=VALUE, without dashes
  std::optional<std::filesystem::path> output = std::nullopt;  ///< instead of APP/build
  bool locked = false;                                         ///< refuse any change of the lock
  bool offline = false;
  bool update_all = false;            ///< forget every locked version
  std::set<std::string> update = {};  ///< forget these
  progress report = {};
};

/// A value of a target's setting, and of its memory limit in bytes.
struct target_settings {
  std::map<std::string, std::string> values;
  [[nodiscard]] std::uint64_t memory_bytes() const;
};

/// Files and folders whose change means that configure must run again.
struct watched_tree {
  std::filesystem::path root;                    ///< a folder, or a file
  std::vector<std::string> extensions = {};      ///< only these; empty: all
  std::vector<std::filesystem::path> skip = {};  ///< folders below it that are not looked at
  bool names_only = false;                       ///< only which files there are: Ninja sees their content
  std::string stamp = {};
};

/// build/morgana.json: what was configured last.
struct workspace_state {
  std::string target;
  std::map<std::string, std::string> options;
  std::string name;                                ///< of the application
  std::map<std::string, std::string> environment;  ///< variables that decide about the result
  std::map<std::string, std::string> artefacts;    ///< by name, relative to the target's build folder
  std::map<std::string, std::string> budgets;      ///< artefact → bytes
  std::map<std::string, std::string> settings;     ///< evaluated, of the target
  std::vector<std::filesystem::path> packages;     ///< their places in the store, built or not
  std::vector<watched_tree> watched;
};

struct configuration {
  description app;
  target on;
  target_settings settings;
  requirements needs;
  device_graph graph;
  option_table options;
  std::vector<chosen_package> packages;
  package_choices choices;           ///< what the image has of them
  std::vector<built_package> built;  ///< where they lie once they are
  guest_toolchain toolchain;
  lock_file locked_before, lock;
  std::filesystem::path lock_path;
  std::filesystem::path build_root;    ///< APP/build, or -o
  std::filesystem::path build_folder;  ///< build_root / target
  std::string image;                   ///< file name below build_folder
  build_plan plan;
  workspace_state state;
};

/// $XDG_CACHE_HOME/morgana, or ~/.cache/morgana.
[[nodiscard]] std::filesystem::path cache_folder();

/// The folder of the application named on a command line: `path` itself, or that of the file.
[[nodiscard]] std::filesystem::path application_folder(std::filesystem::path const& path);

/// The whole pipeline. Errors: those of every step, `no-target` (none named and no default), `lock-changed`
/// (with --locked: what would change), `no-sources` (a glob that matches nothing), `missing-tool`.
[[nodiscard]] outcome<configuration> configure(configure_request const& request);

/// Writes plan, lock and state. Errors: `write-failed`.
[[nodiscard]] outcome<void> commit(configuration const& what);

/// What was configured last below `build_root`; nothing when nothing was, or by another version.
[[nodiscard]] std::optional<workspace_state> read_state(std::filesystem::path const& build_root);

/// True when nothing changed since.
[[nodiscard]] bool is_current(workspace_state const& state);

/// True when the store has every package of the last configuration.
[[nodiscard]] bool has_packages(workspace_state const& state);

/// Compiles the packages that the store lacks, `jobs` commands at a time (0: Ninja's choice). Errors: those
/// of build_packages.
[[nodiscard]] outcome<void> build_missing_packages(configuration const& what, progress const& report,
                                                   unsigned jobs = 0);

/// The stamp of a tree as it is now.
[[nodiscard]] std::string stamp_of(watched_tree const& tree);

/// The compiler, linker and archiver for guest code, and their version. Errors: `missing-tool`.
[[nodiscard]] outcome<guest_toolchain> find_toolchain();

/// A program of the same LLVM as the toolchain ("llvm-objcopy"), by its versioned name.
[[nodiscard]] outcome<std::filesystem::path> find_llvm_tool(std::string_view name);

/// Finds any program on PATH. Errors: `missing-tool` (with the package that has it, when known).
[[nodiscard]] outcome<std::filesystem::path> find_tool(std::string_view name);
/// The Debian package of a tool that the driver runs; empty when unknown.
[[nodiscard]] std::string package_of_tool(std::string_view name);

/// {SETTING?A:B} in flags. A flag that becomes empty is dropped.
[[nodiscard]] std::vector<std::string> evaluate_flags(std::vector<std::string> const& flags,
                                                      target_settings const& settings);

/// Lowers to Ninja: the last pure step of configure().
[[nodiscard]] outcome<build_plan> make_plan(configuration const& what, std::string main_text);

/// What the command wants to see of a build: each finished step, and what the compiler said.
struct build_events {
  std::function<void(std::size_t done, std::size_t total, std::string_view what)> step = {};
  /// Output of a tool, whole lines, with their newline.
  std::function<void(std::string_view text)> output = {};
  bool color = false;
};

struct build_request {
  std::filesystem::path build_root;
  std::filesystem::path application;
  unsigned jobs = 0;  ///< 0: Ninja's choice
  bool verbose = false;
  build_events events = {};
};

/// Runs Ninja in the target's build folder and checks the budgets; the packages must be there. The compiler's
/// words go to events.output; errors then are `build-failed` with level note-like brevity, `over-budget`,
/// `missing-tool`.
[[nodiscard]] outcome<void> build(workspace_state const& state, build_request const& request);

/// Where an artefact of the last configuration lies.
[[nodiscard]] std::filesystem::path artefact(workspace_state const& state,
                                             std::filesystem::path const& build_root,
                                             std::string const& name);

}  // namespace morgana::driver

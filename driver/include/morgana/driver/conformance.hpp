// The conformance kit: does a target keep its promises? `morgana plugin check NAME` runs it.
//
// A level is one promise (boot, console, time, ...). Each has one or two guests, tiny applications that are
// built for the target like any other and run through its machine; the level judges what they printed and how
// they ended. A level that fails says why in one sentence and shows the end of the console. The kit believes
// nothing that the guest says about itself when the host can measure it.
//
//   auto report = check_conformance({.on = &target, .guests = data_folder() / "conformance/guests", .build =
//   build}); std::cout << to_text(*report);
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/target.hpp"

namespace morgana::driver {

enum class level_verdict {
  passed,
  failed,
  coming,  ///< the level is planned, its devices do not exist yet; it fails nobody
};

struct level_declaration {
  std::string_view name;
  std::string_view promise;  ///< one sentence: what a target that passes does
  bool is_coming = false;
};

struct level_result {
  std::string name;
  level_verdict verdict = level_verdict::failed;
  std::string reason = {};        ///< why it failed, or what to know about a pass; maybe empty
  std::string console_tail = {};  ///< the last lines of the guest that failed
  std::chrono::milliseconds took{0};
};

struct conformance_report {
  std::string target;
  std::vector<level_result> levels;
  /// No level failed.
  [[nodiscard]] bool passed() const;
};

struct conformance_input {
  target const* on = nullptr;
  /// The folder of guests: one application per subfolder.
  std::filesystem::path guests = {};
  /// Builds the guest in a folder for the target; gives the image. Called once per guest.
  std::function<outcome<std::filesystem::path>(std::filesystem::path const& guest_folder, target const& on)>
      build = {};
  /// Levels to run, by name; empty: all.
  std::vector<std::string> levels = {};
  /// A guest that has not ended by then hangs.
  std::chrono::milliseconds run_deadline = std::chrono::seconds(60);
  /// Called after each level, for people who wait.
  std::function<void(level_result const&)> progress = {};
};

/// Every level, in the order they are run.
[[nodiscard]] std::vector<level_declaration> const& conformance_levels();

/// Runs the levels. A guest that cannot be built or run is a failed level, not an error.
/// Errors: `unknown-name` (a level that does not exist, with the nearest and all).
[[nodiscard]] outcome<conformance_report> check_conformance(conformance_input const& input);

/// For people: a line per level, below it the reason and the console of what failed; then the count.
[[nodiscard]] std::string to_text(conformance_report const& report);
/// One level as to_text shows it, for progress.
[[nodiscard]] std::string to_text(level_result const& level);
/// One line of JSON:
/// {"kind":"conformance","target","passed","levels":[{"name","verdict","reason","console","ms"}]}.
[[nodiscard]] std::string to_json(conformance_report const& report);

}  // namespace morgana::driver

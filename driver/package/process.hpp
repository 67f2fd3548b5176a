// Running a tool: apt-helper, tar, git, patch, ninja.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace morgana::driver::package_detail {

struct process_call {
  std::vector<std::string> arguments = {};    ///< the program first, found on PATH when it has no slash
  std::filesystem::path folder = {};          ///< where it runs; empty: here
  std::vector<std::string> environment = {};  ///< NAME=VALUE, added to ours
  /// Gets each line of its output and error output, in order; a line is cut after 64 KiB.
  std::function<void(std::string_view line)> line = {};
  /// When not 0, it is ended after so many lines; that counts as status 0.
  std::size_t lines_max = 0;
  /// Called some five times a second while it runs.
  std::function<void()> tick = {};
};

struct process_end {
  bool started = false;
  int status = -1;     ///< exit status; 128 + signal when it was killed
  std::string error;   ///< why it did not start
  std::string output;  ///< the last 16 KiB of it

  [[nodiscard]] bool good() const { return started && status == 0; }
};

/// Runs it to its end. Standard input is /dev/null: nothing may ask a question.
[[nodiscard]] process_end run_process(process_call const& call);

/// Where a program lies, as a shell would find it.
[[nodiscard]] std::optional<std::filesystem::path> find_program(std::string const& name);

/// The last lines of an output that are worth showing, joined; at most `most`.
[[nodiscard]] std::string last_lines(std::string_view output, std::size_t most = 3);

}  // namespace morgana::driver::package_detail

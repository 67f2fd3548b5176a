// The command line itself, as CLI11 knows it; completions are made from the same definition.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "command/commands.hpp"

namespace morgana::driver {

/// What was parsed, before it is done.
struct command_line {
  std::unique_ptr<CLI::App> app;
  std::function<int(output&)> run = {};

  std::string message_format = "text";
  std::string color = "auto";
  bool verbose = false;
  std::vector<std::string> after_dashes = {};  ///< what stood after `--`

  place_arguments place;
  configure_arguments configure;
  build_arguments build;
  run_arguments run_guest;
  debug_arguments debug;
  test_arguments test;
  describe_arguments describe;
  query_arguments query;
  why_arguments why;
  size_arguments size;
  update_arguments update;
  new_arguments make;
  plugin_check_arguments check;
  embed_arguments embed;
  std::string plugin_name, plugin_folder, plugin_verb, shell;
  bool plugin_why = false;
};

/// Defines every command. The line must stay where it is: CLI11 keeps pointers into it.
void define_commands(command_line& line);

/// A script for bash, zsh or fish.
[[nodiscard]] std::string completion_script(CLI::App const& app, std::string const& shell);

/// `--NAME=VALUE` that no option of ours took. A text is what is wrong with the line.
[[nodiscard]] std::expected<std::map<std::string, std::string>, std::string> application_options(
    std::vector<std::string> const& rest);

}  // namespace morgana::driver

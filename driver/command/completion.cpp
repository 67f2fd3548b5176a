// Completion scripts. All shells ask the same: which commands there are, and which options each has.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command/cli.hpp"

namespace morgana::driver {
namespace {

struct command_words {
  std::string path;  ///< "build", "plugin list"
  std::string help;
  std::vector<std::string> options;  ///< "--target"
  std::vector<std::string> values;   ///< of a positional that is one of a few
};

std::vector<std::string> options_of(CLI::App const& app) {
  std::vector<std::string> out;
  for (auto const* option : app.get_options()) {
    for (auto const& name : option->get_lnames()) out.push_back("--" + name);
  }
  return out;
}

void collect(CLI::App const& app, std::string const& before, std::vector<command_words>& out) {
  for (auto const* sub : app.get_subcommands([](CLI::App const*) { return true; })) {
    if (sub->get_group().empty()) continue;
    auto const path = before.empty() ? sub->get_name() : before + ' ' + sub->get_name();
    command_words words{
        .path = path, .help = sub->get_description(), .options = options_of(*sub), .values = {}};
    for (auto const* below : sub->get_subcommands([](CLI::App const*) { return true; })) {
      words.values.push_back(below->get_name());
    }
    if (path == "completion") words.values = {"bash", "zsh", "fish"};
    if (path == "query") words.values = {"name", "files", "targets", "devices", "options", "lock"};
    out.push_back(std::move(words));
    collect(*sub, path, out);
  }
}

std::string bash(std::vector<command_words> const& all) {
  std::string cases;
  std::vector<std::string> top;
  for (auto const& one : all) {
    if (one.path.find(' ') == std::string::npos) top.push_back(one.path);
    auto words = one.options;
    words.insert(words.end(), one.values.begin(), one.values.end());
    cases += fmt::format("    '{}') words='{}' ;;\n", one.path, fmt::join(words, " "));
  }
  return fmt::format(
      "# bash completion of morgana: eval \"$(morgana completion bash)\"\n"
      "_morgana() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\" words=''\n"
      "  local command=\"${{COMP_WORDS[1]}}\"\n"
      "  [[ $command == plugin && $COMP_CWORD -gt 2 ]] && command=\"plugin ${{COMP_WORDS[2]}}\"\n"
      "  if [[ $previous == -t || $previous == --target ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$(morgana query targets 2>/dev/null | cut -d' ' -f1)\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case $command in\n{}  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "  [[ $word != -* ]] && COMPREPLY+=($(compgen -d -- \"$word\"))\n"
      "}}\n"
      "complete -F _morgana morgana\n",
      fmt::join(top, " "), cases);
}

/// Text inside single quotes of zsh and fish.
std::string single_quoted(std::string_view text) {
  std::string out;
  for (auto const c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out;
}

std::string zsh(std::vector<command_words> const& all) {
  std::string commands;
  std::string cases;
  for (auto const& one : all) {
    if (one.path.find(' ') == std::string::npos)
      commands += fmt::format("    '{}:{}'\n", one.path, single_quoted(one.help));
    auto words = one.options;
    words.insert(words.end(), one.values.begin(), one.values.end());
    cases += fmt::format("    '{}') compadd -- {} ;;\n", one.path, fmt::join(words, " "));
  }
  return fmt::format(
      "#compdef morgana\n"
      "# zsh completion of morgana: eval \"$(morgana completion zsh)\"\n"
      "_morgana() {{\n"
      "  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
      "  local command=$words[2]\n"
      "  [[ $command == plugin && $CURRENT -gt 3 ]] && command=\"plugin $words[3]\"\n"
      "  case $command in\n{}  esac\n"
      "  _files -/\n"
      "}}\n"
      "compdef _morgana morgana\n",
      commands, cases);
}

std::string fish(std::vector<command_words> const& all) {
  std::string out = "# fish completion of morgana: morgana completion fish | source\n";
  for (auto const& one : all) {
    auto const space = one.path.find(' ');
    if (space == std::string::npos) {
      out += fmt::format("complete -c morgana -n __fish_use_subcommand -f -a {} -d '{}'\n", one.path,
                         single_quoted(one.help));
    }
    auto const condition = fmt::format("__fish_seen_subcommand_from {}",
                                       space == std::string::npos ? one.path : one.path.substr(space + 1));
    for (auto const& option : one.options) {
      out += fmt::format("complete -c morgana -n '{}' -l {}\n", condition, option.substr(2));
    }
    for (auto const& value : one.values) {
      out += fmt::format("complete -c morgana -n '{}' -f -a {}\n", condition, value);
    }
  }
  return out;
}

}  // namespace

std::string completion_script(CLI::App const& app, std::string const& shell) {
  std::vector<command_words> all;
  collect(app, "", all);
  if (shell == "zsh") return zsh(all);
  if (shell == "fish") return fish(all);
  return bash(all);
}

}  // namespace morgana::driver

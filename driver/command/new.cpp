// `morgana new`: an application that builds at once, and says where to go on.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "command/commands.hpp"
#include "workspace/files.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view description_text =
    R"(# What this application is made of; `morgana describe` shows what was chosen from it.
name = "{}"

# [options]              # options of start() that are fixed at configure time
# greeting = "Hello"

# [target.NAME]          # what holds for one target only; `morgana targets` lists them
# memory = "32 MiB"
)";

constexpr std::string_view entry_text =
    R"(// The entry point. Its parameters are what the application needs; `morgana configure` finds an implementation
// of each for the target.
#pragma once

#include "morgana/app.hpp"

struct options {
  /// What is said at the start.
  std::string_view greeting = "Hello, world!";
};

inline morgana::task<> start(morgana::console auto& console, morgana::option_set<options> auto const& opt) {
  console.write(opt.greeting);
  console.write("\n");
  co_return;
}
)";

constexpr std::string_view test_text =
    R"(# `morgana test` runs these on the default target; `morgana test -t unix -t sim` on both. docs/python.md has more.


def test_it_greets(vm):
    vm.expect("Hello, world!", timeout=10)
    assert vm.wait(timeout=10) == 0
)";

constexpr std::string_view ignore_text = "/build/\n/.morgana-failures/\n__pycache__/\n.pytest_cache/\n";

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() < 'a' || name.front() > 'z') return false;
  for (auto const c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return true;
}

}  // namespace

int new_command(output& out, new_arguments const& with) {
  auto const folder = fs::path(with.folder.empty() ? with.name : with.folder);
  if (!is_name(with.name)) {
    return out.report(
        {.code = "wrong-value",
         .message = fmt::format("`{}` cannot be an application's name", with.name),
         .help = {"use a-z, 0-9 and `-`, begin with a letter, and write at most 63 characters"}});
  }
  std::error_code error;
  auto test_name = with.name;
  std::ranges::replace(test_name, '-', '_');
  auto const test_file = fmt::format("tests/test_{}.py", test_name);
  std::array const files{
      std::pair<std::string_view, std::string>{"unikernel.toml",
                                               fmt::format(fmt::runtime(description_text), with.name)},
      std::pair<std::string_view, std::string>{"unikernel.hpp", std::string(entry_text)},
      std::pair<std::string_view, std::string>{test_file, std::string(test_text)},
      std::pair<std::string_view, std::string>{".gitignore", std::string(ignore_text)},
  };
  for (auto const& [name, text] : files) {
    if (!fs::exists(folder / name, error)) continue;
    return out.report({.code = "exists",
                       .message = fmt::format("`{}` exists already", (folder / name).string()),
                       .help = {"choose another folder: morgana new NAME FOLDER"}});
  }
  std::string text = fmt::format("made {}\n", folder.string());
  auto made = nlohmann::ordered_json::array();
  for (auto const& [name, content] : files) {
    if (!write_file(folder / name, content)) {
      return out.report(
          {.code = "write-failed", .message = fmt::format("cannot write `{}`", (folder / name).string())});
    }
    text += fmt::format("  {}\n", name);
    made.push_back((folder / name).string());
  }
  text += fmt::format("next: morgana run {}\n", folder.string());
  out.result(text, {{"kind", "created"}, {"name", with.name}, {"files", made}});
  return exit_code::done;
}

}  // namespace morgana::driver

// `morgana test`: an application's tests/, by pytest, with the package `morgana` that belongs to this driver.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "command/commands.hpp"

namespace morgana::driver {
namespace {

namespace fs = std::filesystem;

/// Where this driver's package stands: in the build tree, or in an installation. Empty: where Python itself
/// looks, as for one that pip installed.
fs::path package_folder() {
  auto const root = data_folder().parent_path().parent_path();
  std::error_code error;
  for (auto const* place : {"lib/morgana/python", "python"}) {
    if (fs::exists(root / place / "morgana/__init__.py", error)) return root / place;
  }
  return {};
}

/// MORGANA_PYTHON, or the interpreter that the package was built for, or what PATH has.
std::string interpreter() {
  if (auto const* named = std::getenv("MORGANA_PYTHON"); named != nullptr && *named != '\0') return named;
  std::error_code error;
  return fs::exists(MORGANA_PYTHON, error) ? MORGANA_PYTHON : "python3";
}

}  // namespace

int test_command(output& out, test_arguments const& with) {
  auto const folder = application_folder(with.path);
  auto const app = read_description(with.path);
  if (!app) return out.report(app.error());
  auto const tests = folder / "tests";
  std::error_code error;
  if (!fs::is_directory(tests, error)) {
    return out.report(
        {.code = "no-tests",
         .message = fmt::format("{} has no folder `tests`", app->name.value),
         .help = {"write tests/test_NAME.py; `morgana new` makes an application that has one"}});
  }
  if (auto const package = package_folder(); !package.empty()) {
    auto path = package.string();
    if (auto const* before = std::getenv("PYTHONPATH"); before != nullptr && *before != '\0')
      path += fmt::format(":{}", before);
    ::setenv("PYTHONPATH", path.c_str(), 1);
  }
  // What a failed test says of how to run it again.
  ::setenv("MORGANA_TEST_PATH", with.path.c_str(), 1);
  // What is no plugin of this Python yet is named; twice does no harm.
  std::vector<std::string> command{interpreter(),           "-m",        "pytest",       "-p",
                                   "morgana.pytest_plugin", "--rootdir", folder.string()};
  for (auto const& target : with.targets) command.push_back(fmt::format("--morgana-target={}", target));
  command.push_back(tests.string());
  command.insert(command.end(), with.arguments.begin(), with.arguments.end());
  std::vector<char*> words;
  for (auto& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  return out.report(
      {.code = "missing-tool",
       .message = fmt::format("cannot run `{}`: {}", command.front(), std::strerror(errno)),
       .help = {"install it: apt-get install python3-pytest", "or name another with MORGANA_PYTHON"}});
}

}  // namespace morgana::driver

// What the tests of the package engine share: a temporary folder, recipes from text.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/package.hpp"
#include "tests/support/scratch_folder.hpp"

namespace package_test {

using namespace morgana::driver;
namespace fs = std::filesystem;

using morgana::test::scratch_folder;

inline void write(fs::path const& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

inline std::string read(fs::path const& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The value, or a failed test that shows the diagnostics.
template <class T>
T value_of(outcome<T> result) {
  if (!result) {
    std::string text;
    for (auto const& one : result.error()) {
      text += one.code + ": " + one.message + "\n";
      for (auto const& note : one.notes) text += "  " + note.message + "\n";
    }
    FAIL(text);
  }
  return std::move(*result);
}

/// The only diagnostic of a failed outcome.
template <class T>
diagnostic error_of(outcome<T> const& result) {
  REQUIRE_FALSE(result);
  REQUIRE(result.error().size() == 1);
  return result.error().front();
}

inline void good(outcome<void> const& result) {
  if (!result) FAIL(result.error().front().code + ": " + result.error().front().message);
}

inline located_string text(std::string value, std::uint32_t line = 1) {
  return {std::move(value), {"unikernel.toml", line, 1, 1}};
}

inline recipe package(std::string const& name, std::string const& version,
                      std::vector<std::string> const& needs = {}, std::vector<std::string> targets = {"*"}) {
  recipe result;
  result.name = {name, {name + ".toml", 2, 8, 1}};
  result.version = version;
  for (auto const& one : needs) result.requires_.push_back({one, {name + ".toml", 4, 13, 1}});
  result.targets = std::move(targets);
  result.file = name + ".toml";
  result.sha256 = "recipe-of-" + name + "-" + version;
  return result;
}

inline progress quiet() {
  return [](std::string_view, std::size_t, std::size_t) {};
}

}  // namespace package_test

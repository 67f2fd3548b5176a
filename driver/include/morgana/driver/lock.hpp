// The lock file: the exact version of everything an image is made of. It lies beside unikernel.toml and is
// committed. `configure` keeps what it says and adds what is missing; only `update` moves a version;
// `--locked` refuses any change. One target's table is never rewritten by configuring another. The text is
// sorted and has one fact a line, so that two branches merge.
//
//   schema = 1
//   [toolchain]
//   clang = "22.1.8"
//   lld = "22.1.8"
//   [[package]]
//   name = "picohttpparser"
//   version = "0+h2o2.2.5"
//   origin = "morgana"                              # repository, with its revision when it has one
//   sha256 = "..."                                  # of the source: file, or content of a folder
//   recipe_sha256 = "..."
//   requires = ["..."]
//   [target.unix]
//   nodes = ["htdocs = embedded", "network = socket"]
//   packages = ["morgana-core", "morgana-http", "picohttpparser"]
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

inline constexpr int lock_schema = 1;

struct locked_package {
  std::string name, version, origin, sha256, recipe_sha256;
  std::vector<std::string> requires_;
  friend bool operator==(locked_package const&, locked_package const&) = default;
};

struct locked_target {
  std::map<std::string, std::string> nodes;  ///< parameter or inner node → implementation
  std::vector<std::string> packages;         ///< names, sorted
  friend bool operator==(locked_target const&, locked_target const&) = default;
};

struct lock_file {
  std::map<std::string, std::string> toolchain;
  std::map<std::string, locked_package> packages;
  std::map<std::string, locked_target> targets;
  friend bool operator==(lock_file const&, lock_file const&) = default;
};

/// Errors: `wrong-toml`, `unknown-name`, `wrong-value`, `lock-schema` (both numbers; a newer one says to
/// upgrade the tool).
[[nodiscard]] outcome<lock_file> parse_lock(std::string_view text, std::filesystem::path const& file);

/// The text of the file; parse_lock(format_lock(x)) == x, and equal values give equal bytes.
[[nodiscard]] std::string format_lock(lock_file const& lock);

/// What changes from `before` to `after`, one line each, for `update` and for the error of `--locked`.
[[nodiscard]] std::vector<std::string> lock_changes(lock_file const& before, lock_file const& after);

}  // namespace morgana::driver

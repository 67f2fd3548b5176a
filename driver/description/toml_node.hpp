// The tree that toml_parse.cpp makes and toml_reader.cpp reads; no user of toml.hpp sees it, nor toml++.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "morgana/driver/toml.hpp"

namespace morgana::driver::toml_detail {

struct member;

struct node {
  toml_kind kind = toml_kind::table;
  source_location where;
  std::string path;  ///< tables: as in a header
  std::string text;  ///< text, and any scalar as it would be typed
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<member> members;  ///< of a table, in the order of the file
  std::vector<node> items;      ///< of an array

  // What the reader did with a table.
  std::set<std::string, std::less<>> asked;
  bool opened = false;
  bool all_allowed = false;

  [[nodiscard]] member* find(std::string_view key);
};

struct member {
  located_string key;
  node value;
};

struct document {
  source_location file;  ///< the whole file
  node root;
  diagnostics reported;
  bool ignore_unknown = false;
};

/// Syntax only. One diagnostic, `wrong-toml`, when it fails.
[[nodiscard]] outcome<std::unique_ptr<document>> parse(std::string_view text,
                                                       std::filesystem::path const& file);

/// Checks the limits of toml.hpp before anything recursive sees the text.
[[nodiscard]] outcome<void> check_limits(std::string_view text, std::filesystem::path const& file);

}  // namespace morgana::driver::toml_detail

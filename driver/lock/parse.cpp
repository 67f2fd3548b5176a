// Reading morgana.lock.
#include <algorithm>

#include <fmt/format.h>

#include "morgana/driver/lock.hpp"
#include "morgana/driver/toml.hpp"

namespace morgana::driver {

namespace {

// A lock with conflict markers of a merge is common enough to be named as such: the TOML parser would only
// complain about a character.
std::optional<diagnostic> merge_conflict(std::string_view text, std::filesystem::path const& file) {
  std::uint32_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    auto const end = std::min(text.find('\n', at), text.size());
    if (text.substr(at, end - at).starts_with("<<<<<<< ")) {
      return diagnostic{
          .code = "wrong-toml",
          .message = "the lock file has a merge conflict",
          .where = source_location{file, line, 1, 7},
          .help = {"keep the lines of either side, then run `morgana configure`: it adds what is missing"}};
    }
    at = end + 1;
  }
  return std::nullopt;
}

void read_package(toml_table entry, lock_file& lock) {
  locked_package one;
  one.name = entry.require_text("name").value;
  one.version = entry.require_text("version").value;
  one.origin = entry.plain_text("origin");
  one.sha256 = entry.plain_text("sha256");
  one.recipe_sha256 = entry.plain_text("recipe_sha256");
  one.requires_ = entry.plain_texts("requires");
  std::ranges::sort(one.requires_);
  if (one.name.empty()) return;
  auto name = one.name;
  if (!lock.packages.emplace(name, std::move(one)).second) {
    entry.wrong_value("name", fmt::format("package `{}` is locked twice", name),
                      {"keep one of the two entries; `morgana update " + name + "` chooses again"});
  }
}

void read_target(toml_table entry, locked_target& into) {
  for (auto const& text : entry.texts("nodes")) {
    auto const mark = text.value.find(" = ");
    if (mark == std::string::npos || mark == 0 || mark + 3 == text.value.size()) {
      entry.report({.code = "wrong-value",
                    .message = fmt::format("`{}` is not of the form `NODE = IMPLEMENTATION`", text.value),
                    .where = text.where});
      continue;
    }
    auto name = text.value.substr(0, mark);
    if (!into.nodes.emplace(name, text.value.substr(mark + 3)).second) {
      entry.report({.code = "wrong-value",
                    .message = fmt::format("node `{}` is locked twice", name),
                    .where = text.where});
    }
  }
  into.packages = entry.plain_texts("packages");
  std::ranges::sort(into.packages);
}

}  // namespace

outcome<lock_file> parse_lock(std::string_view text, std::filesystem::path const& file) {
  if (auto conflict = merge_conflict(text, file)) return fail(std::move(*conflict));
  auto document = toml_document::parse(text, file);
  if (!document) return fail(std::move(document));
  auto root = document->root();
  lock_file lock;
  if (!root.require_schema(lock_schema, "lock-schema")) return document->finish(std::move(lock));
  if (auto toolchain = root.table("toolchain")) {
    for (auto const& key : toolchain->keys()) {
      if (auto value = toolchain->text(key.value)) lock.toolchain[key.value] = value->value;
    }
  }
  for (auto& entry : root.tables("package")) read_package(entry, lock);
  if (auto targets = root.table("target")) {
    for (auto const& key : targets->keys()) {
      if (auto one = targets->table(key.value)) read_target(*one, lock.targets[key.value]);
    }
  }
  return document->finish(std::move(lock));
}

}  // namespace morgana::driver

// Diagnostics: how every part of the driver says that something is wrong.
//
// A diagnostic says what is wrong, where (file:line:column), why (notes, each with its own place if it
// has one) and what to do next (help). It is a value: a step of the driver returns it, only the command
// prints it, once, as text or as JSON. No exception crosses an interface of the driver.
//
//   outcome<description> read_description(...);
//   return fail({.code = "unknown-name", .message = "...", .where = place, .help = {"did you mean `port`?"}});
//
// One cause gives one diagnostic. Several independent mistakes (two wrong options) may be reported together.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace morgana::driver {

/// A place in a file the user can open. Lines and columns count from 1; 0 means "the whole file" or
/// "the whole line". Columns count bytes.
struct source_location {
  std::filesystem::path file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  /// How many bytes, from `column` on, the caret underlines; 1 when unknown.
  std::uint32_t length = 1;

  friend bool operator==(source_location const&, source_location const&) = default;
};

enum class severity { error, warning, note };

/// Something said about another place: a candidate, the first of two definitions, a reason.
struct diagnostic_note {
  std::string message;
  std::optional<source_location> where = std::nullopt;
};

struct diagnostic {
  /// Stable, lower-case, hyphenated; documented in docs/errors.md. Scripts match on it, people do not.
  std::string code;
  std::string message;
  std::optional<source_location> where = std::nullopt;
  std::vector<diagnostic_note> notes = {};
  /// What to do next, one sentence each, imperative.
  std::vector<std::string> help = {};
  severity level = severity::error;
};

using diagnostics = std::vector<diagnostic>;

/// The result of a step: its value, or at least one diagnostic of severity error.
template <class T>
using outcome = std::expected<T, diagnostics>;

/// Makes the failing outcome of one diagnostic.
[[nodiscard]] inline std::unexpected<diagnostics> fail(diagnostic one) {
  diagnostics all;
  all.push_back(std::move(one));
  return std::unexpected<diagnostics>(std::move(all));
}

/// Hands on the diagnostics of a failed outcome of another type.
template <class T>
[[nodiscard]] std::unexpected<diagnostics> fail(outcome<T>&& failed) {
  return std::unexpected<diagnostics>(std::move(failed).error());
}

/// The candidate nearest to `name` by edit distance, if it is near enough to be a likely typing mistake
/// (at most a third of its length, at least one edit).
[[nodiscard]] std::optional<std::string> nearest(std::string_view name, std::vector<std::string> const& candidates);

enum class color_choice { never, always };

/// Prints the diagnostic as clang does: `path:line:column: error: message [code]`, the source line with a
/// caret when the file can be read, notes, then help lines. Paths are shown relative to `base` when they
/// lie below it. Control characters in texts are shown escaped, so that input cannot write to a terminal.
void print_text(std::ostream& out, diagnostic const& one, std::filesystem::path const& base, color_choice color);

/// Prints one line of JSON: {"kind":"diagnostic","level","code","message","file","line","column","length",
/// "notes":[{"message","file","line","column"}],"help":[...]}. Places that do not exist are left out.
void print_json(std::ostream& out, diagnostic const& one);

}  // namespace morgana::driver

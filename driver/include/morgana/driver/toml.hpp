// Strict reading of TOML: every file that the driver reads (unikernel.toml, catalogues, NAME.toml of a
// target, recipes, the lock) goes through here, so that all of them complain in the same way.
//
//   auto document = toml_document::parse(text, file);
//   if (!document) return fail(std::move(document));
//   auto root = document->root();
//   recipe result;
//   result.name = root.require_text("name");
//   result.flags = root.plain_texts("flags");
//   if (auto source = root.require_table("source")) {
//     if (auto kind = source->require_one_of("kind", {"apt", "path", "git"})) ...
//   }
//   for (auto& entry : root.tables("package")) ...
//   return document->finish(std::move(result));
//
// A reader asks for the keys it knows. A wrong type, a missing required key or a value out of range adds one
// diagnostic to the document and gives the neutral value (empty text, 0, nullopt), so that reading goes on
// and one run reports all independent mistakes. finish() adds one diagnostic for each key that nobody asked
// for, with the nearest one that somebody did, and returns either the value or all diagnostics in the order
// of the file. A table that was never opened is one unknown key; its content is not complained about.
//
// Limits: a text of 4 MiB, 64 dots outside strings in one line, brackets 32 deep; the rest of the cost is
// linear. Codes used: `wrong-toml`, `unknown-name`, `wrong-value`, `missing-name`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/value.hpp"

namespace morgana::driver {

namespace toml_detail {
struct node;
struct document;
}  // namespace toml_detail

enum class toml_kind { text, integer, real, boolean, date_time, array, table };

/// A table of a document that is being read. A light handle: copy it; it lives as long as its document.
class toml_table {
 public:
  /// Of its header line or its brace.
  [[nodiscard]] source_location const& where() const;
  /// As in a header: "devices.htdocs", "package[2]", "" for the root.
  [[nodiscard]] std::string const& path() const;

  /// Every key there is, in the order of the file, with its place; asks for none.
  [[nodiscard]] std::vector<located_string> keys() const;
  [[nodiscard]] bool has(std::string_view key) const;
  /// nullopt when there is no such key; asks for nothing.
  [[nodiscard]] std::optional<toml_kind> kind(std::string_view key) const;
  /// Place of the value of a key, or of this table when there is no such key.
  [[nodiscard]] source_location where(std::string_view key) const;
  /// Place of the key itself, else of this table.
  [[nodiscard]] source_location where_key(std::string_view key) const;

  /// Text; must not be empty when required.
  [[nodiscard]] std::optional<located_string> text(std::string_view key);
  [[nodiscard]] located_string require_text(std::string_view key);
  [[nodiscard]] std::string plain_text(std::string_view key, std::string_view otherwise = {});
  /// Text that is one of `values`; anything else is `wrong-value` with the nearest and the list.
  [[nodiscard]] std::optional<located_string> one_of(std::string_view key,
                                                     std::vector<std::string> const& values);
  [[nodiscard]] std::optional<located_string> require_one_of(std::string_view key,
                                                             std::vector<std::string> const& values);
  [[nodiscard]] std::optional<bool> boolean(std::string_view key);
  [[nodiscard]] std::optional<std::int64_t> integer(
      std::string_view key, std::int64_t least = 0,
      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  [[nodiscard]] std::optional<std::int64_t> require_integer(
      std::string_view key, std::int64_t least = 0,
      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  /// An array of integers; nullopt when there is none, or when one is wrong.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(
      std::string_view key, std::int64_t least = 0,
      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  /// An array of texts.
  [[nodiscard]] std::vector<located_string> texts(std::string_view key);
  [[nodiscard]] std::vector<std::string> plain_texts(std::string_view key);
  /// Text, integer, real or boolean, as it would be typed on a command line.
  [[nodiscard]] std::optional<setting> scalar(std::string_view key);
  /// A table, by header or inline.
  [[nodiscard]] std::optional<toml_table> table(std::string_view key);
  [[nodiscard]] std::optional<toml_table> require_table(std::string_view key);
  /// An array of tables, by [[key]] or inline.
  [[nodiscard]] std::vector<toml_table> tables(std::string_view key);

  /// The `schema` every versioned file opens with: reports `code` with both numbers when it is not
  /// `supported` (a newer one says to upgrade the tool). Returns false then: call finish() at once, it does
  /// not complain about keys that another schema may have.
  [[nodiscard]] bool require_schema(int supported, std::string_view code);

  /// Adds a key to those that may be suggested and are not unknown, without reading it.
  void allow(std::string_view key);
  /// No key of this table is unknown from now on.
  void allow_all();

  /// Adds a diagnostic. The second form is `wrong-value` at the value of `key`.
  void report(diagnostic what);
  void wrong_value(std::string_view key, std::string message, std::vector<std::string> help = {});

 private:
  friend class toml_document;
  toml_table(toml_detail::document* in, toml_detail::node* at) : document_(in), node_(at) {}
  toml_detail::node* expect(std::string_view key, toml_kind kind);
  void missing(std::string_view key, std::string_view what);

  toml_detail::document* document_;
  toml_detail::node* node_;
};

class toml_document {
 public:
  /// Errors: `wrong-toml` (syntax, a key defined twice, a limit above), exactly one.
  [[nodiscard]] static outcome<toml_document> parse(std::string_view text, std::filesystem::path const& file);

  toml_document(toml_document&&) noexcept;
  toml_document& operator=(toml_document&&) noexcept;
  ~toml_document();

  [[nodiscard]] toml_table root();
  void report(diagnostic what);
  /// finish() complains about no unknown key: the file is of another version, and reading stops early.
  void ignore_unknown();

  /// All diagnostics so far and those of unknown keys, in the order of the file. Call once, at the end.
  [[nodiscard]] diagnostics take_diagnostics();

  template <class T>
  [[nodiscard]] outcome<T> finish(T value) {
    auto all = take_diagnostics();
    if (!all.empty()) return std::unexpected<diagnostics>(std::move(all));
    return value;
  }

 private:
  explicit toml_document(std::unique_ptr<toml_detail::document> content);
  std::unique_ptr<toml_detail::document> content_;
};

/// The whole of a text file, at most 4 MiB. Errors: `unreadable-file` (why: missing, a folder, permission,
/// too large).
[[nodiscard]] outcome<std::string> read_text_file(std::filesystem::path const& file);

}  // namespace morgana::driver

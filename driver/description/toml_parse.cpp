// The only translation unit that knows toml++: its headers are slow to compile, and its exceptions and
// types stay here. The library's own build has exceptions; ours is header-only and has none.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "description/toml_node.hpp"
#include "diagnostic/escape.hpp"

namespace morgana::driver::toml_detail {
namespace {

/// Lines of the text; toml++ counts code points in a line, we count bytes.
class line_index {
 public:
  explicit line_index(std::string_view text) : text_(text) {
    starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  [[nodiscard]] std::string_view line(std::uint32_t number) const {
    if (number == 0 || number > starts_.size()) return {};
    auto const begin = starts_[number - 1];
    auto const end = number < starts_.size() ? starts_[number] - 1 : text_.size();
    return text_.substr(begin, end - begin);
  }

  /// Everything before a line.
  [[nodiscard]] std::string_view before(std::uint32_t number) const {
    return number == 0 || number > starts_.size() ? text_ : text_.substr(0, starts_[number - 1]);
  }

  [[nodiscard]] std::uint32_t byte_column(toml::source_position at) const {
    auto const text = line(at.line);
    std::uint32_t points = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if ((static_cast<unsigned char>(text[i]) & 0xc0u) == 0x80u) continue;
      if (++points == at.column) return static_cast<std::uint32_t>(i + 1);
    }
    return static_cast<std::uint32_t>(text.size() + 1);
  }

  [[nodiscard]] source_location locate(std::filesystem::path const& file,
                                       toml::source_region const& region) const {
    auto const column = byte_column(region.begin);
    auto const end = region.end.line == region.begin.line
                         ? byte_column(region.end)
                         : static_cast<std::uint32_t>(line(region.begin.line).size() + 1);
    return {file, region.begin.line, column, end > column ? end - column : 1};
  }

 private:
  std::string_view text_;
  std::vector<std::size_t> starts_;
};

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  auto const [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return error == std::errc{} ? std::string(buffer, end) : std::string{};
}

struct converter {
  line_index const& lines;
  std::filesystem::path const& file;

  node convert(toml::node const& from, std::string path) const {
    node to;
    to.where = lines.locate(file, from.source());
    to.path = std::move(path);
    if (auto const* table = from.as_table()) {
      to.kind = toml_kind::table;
      for (auto const& [key, value] : *table) {
        auto const name = std::string(key.str());
        to.members.push_back({{name, lines.locate(file, key.source())},
                              convert(value, to.path.empty() ? name : fmt::format("{}.{}", to.path, name))});
      }
      std::ranges::sort(to.members, {}, [](member const& one) {
        return std::pair(one.key.where.line, one.key.where.column);
      });
    } else if (auto const* array = from.as_array()) {
      to.kind = toml_kind::array;
      for (auto const& value : *array) {
        to.items.push_back(convert(value, fmt::format("{}[{}]", to.path, to.items.size() + 1)));
      }
    } else if (auto const* text = from.as_string()) {
      to.kind = toml_kind::text;
      to.text = text->get();
    } else if (auto const* integer = from.as_integer()) {
      to.kind = toml_kind::integer;
      to.integer = integer->get();
      to.text = fmt::format("{}", to.integer);
    } else if (auto const* real = from.as_floating_point()) {
      to.kind = toml_kind::real;
      to.text = real_text(real->get());
    } else if (auto const* boolean = from.as_boolean()) {
      to.kind = toml_kind::boolean;
      to.boolean = boolean->get();
      to.text = to.boolean ? "true" : "false";
    } else {
      to.kind = toml_kind::date_time;
    }
    return to;
  }
};

std::string_view trim(std::string_view text) {
  auto const blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The key that stands before byte `end` of a line: (its column, itself).
std::pair<std::size_t, std::string_view> key_before(std::string_view line, std::size_t end) {
  auto before = trim(line.substr(0, end));
  if (before.ends_with('=')) before.remove_suffix(1);
  auto const start = before.find_last_of(",{");
  if (start != std::string_view::npos) before.remove_prefix(start + 1);
  auto const key = trim(before);
  return {static_cast<std::size_t>(key.data() - line.data()), key};
}

/// Where the name that is defined a second time was defined first, as far as the text before tells.
std::optional<source_location> first_definition(node& root, line_index const& lines, std::string_view key,
                                                bool is_header) {
  auto* table = &root;
  if (!is_header) {
    // The table that was open: the one whose header is last.
    auto const visit = [&](auto const& self, node& one) -> void {
      for (auto& [name, value] : one.members) {
        auto* inner = &value;
        if (value.kind == toml_kind::array && !value.items.empty()) inner = &value.items.back();
        if (inner->kind != toml_kind::table) continue;
        // Inline and dotted tables have no header.
        auto const at = lines.line(inner->where.line).substr(inner->where.column - 1);
        if (at.starts_with('[') && inner->where.line >= table->where.line) table = inner;
        self(self, *inner);
      }
    };
    visit(visit, root);
  }
  while (true) {
    auto const dot = key.find('.');
    auto name = trim(key.substr(0, dot));
    if (name.size() >= 2 && (name.front() == '"' || name.front() == '\''))
      name = name.substr(1, name.size() - 2);
    auto* found = table->find(name);
    if (!found) return std::nullopt;
    if (dot == std::string_view::npos) return found->key.where;
    key.remove_prefix(dot + 1);
    table = &found->value;
    if (table->kind == toml_kind::array && !table->items.empty()) table = &table->items.back();
  }
}

/// The word that byte `column` of a line belongs to or follows, and its own column; empty when there is none.
std::pair<std::uint32_t, std::string_view> word_at(std::string_view line, std::uint32_t column) {
  auto const part = [](char c) {
    auto const lower = static_cast<char>(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == '/' || c == '+' || c == ':';
  };
  auto begin = std::min<std::size_t>(column - 1, line.size());
  auto end = begin;
  while (begin > 0 && part(line[begin - 1])) --begin;
  while (end < line.size() && part(line[end])) ++end;
  return {static_cast<std::uint32_t>(begin + 1), line.substr(begin, end - begin)};
}

/// The first byte that is no UTF-8.
std::optional<source_location> broken_utf8(std::string_view text, std::filesystem::path const& file) {
  source_location at{file, 1, 1};
  while (!text.empty()) {
    auto const length = utf8_length(text);
    if (length == 0) return at;
    at.column += static_cast<std::uint32_t>(length);
    if (text.front() == '\n') at = {file, at.line + 1, 1};
    text.remove_prefix(length);
  }
  return std::nullopt;
}

diagnostic describe(toml::parse_error const& error, std::string_view whole, line_index const& lines,
                    std::filesystem::path const& file) {
  auto text = std::string(error.description());
  std::string within;
  if (constexpr std::string_view prefix = "Error while parsing "; text.starts_with(prefix)) {
    if (auto const colon = text.find(": "); colon != std::string::npos) {
      within = text.substr(prefix.size(), colon - prefix.size());
      text.erase(0, colon + 2);
    }
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  auto const vowel = !within.empty() && std::string_view("aeiou").contains(within.front());
  diagnostic result{.code = "wrong-toml",
                    .message = within.empty() ? fmt::format("not valid TOML: {}", text)
                                              : fmt::format("not valid TOML, in {} {}: {}",
                                                            vowel ? "an" : "a", within, text),
                    .where = lines.locate(file, error.source())};
  auto& place = *result.where;

  if (text.starts_with("cannot redefine")) {
    auto const line = lines.line(place.line);
    auto const header = within.contains("table header");
    std::string_view key;
    if (header) {
      auto const start = line.find_first_not_of(" \t[");
      auto const end = line.find(']', start);
      if (start != std::string_view::npos && end != std::string_view::npos)
        key = trim(line.substr(start, end - start));
      if (!key.empty()) place.column = static_cast<std::uint32_t>(start + 1);
    } else {
      auto const [start, found] = key_before(line, std::min<std::size_t>(line.size(), place.column - 1));
      key = found;
      if (!key.empty()) place.column = static_cast<std::uint32_t>(start + 1);
    }
    if (!key.empty()) {
      place.length = static_cast<std::uint32_t>(key.size());
      result.message =
          fmt::format("`{}` is defined twice", header ? fmt::format("[{}]", key) : std::string(key));
      result.help = {"keep one of the two"};
      // The text before this line is valid, or toml++ would have complained about it.
      auto before = toml::parse(lines.before(place.line), std::string_view{});
      if (before) {
        auto root = converter{lines, file}.convert(before.table(), "");
        if (auto first = first_definition(root, lines, key, header)) {
          result.notes.push_back({"first defined here", std::move(first)});
        }
      }
      return result;
    }
  }
  if (text.contains("utf-8")) {
    result.message = "the file is not UTF-8 from here on";
    if (auto broken = broken_utf8(whole, file)) place = std::move(*broken);
    result.help = {"save the file as UTF-8"};
  } else if (text.contains("value") || within == "boolean") {
    if (auto const [column, word] = word_at(lines.line(place.line), place.column); !word.empty()) {
      place.column = column;
      place.length = static_cast<std::uint32_t>(word.size());
      result.message = fmt::format("`{}` is no TOML value", word);
    }
    result.help = {"text needs quotes: key = \"text\""};
  } else if (text.contains("escape sequence")) {
    result.help = {"write \\\\ for a backslash, or put the text in '...'"};
  } else if (within.ends_with("string")) {
    result.help = {"close the string with its quote on the same line"};
  } else if (within == "array" || within == "inline table") {
    result.help = {"close what was opened here; entries are parted by commas"};
  } else {
    result.help = {"a line is `key = value`, a [table] header or a # comment"};
  }
  return result;
}

}  // namespace

member* node::find(std::string_view key) {
  auto const found = std::ranges::find_if(members, [&](member const& one) { return one.key.value == key; });
  return found == members.end() ? nullptr : &*found;
}

outcome<std::unique_ptr<document>> parse(std::string_view text, std::filesystem::path const& file) {
  if (auto within_limits = check_limits(text, file); !within_limits) return fail(std::move(within_limits));
  line_index const lines(text);
  auto parsed = toml::parse(text, std::string_view{});
  if (!parsed) return fail(describe(parsed.error(), text, lines, file));
  auto result = std::make_unique<document>();
  result->file = {file};
  result->root = converter{lines, file}.convert(parsed.table(), "");
  result->root.where = result->file;
  return result;
}

}  // namespace morgana::driver::toml_detail

#include <fmt/format.h>

#include <fstream>
#include <ostream>
#include <system_error>

#include "diagnostic/escape.hpp"
#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {
namespace {

/// A source line is read only this far, and shown only this wide.
constexpr std::size_t file_bytes_max = 16u << 20;
constexpr std::size_t line_bytes_max = 1u << 16;
constexpr std::size_t shown_columns_max = 120;

struct palette {
  std::string_view bold, error, warning, note, caret, off;
};
constexpr palette plain{};
constexpr palette colored{"\x1b[1m", "\x1b[1;31m", "\x1b[1;35m", "\x1b[1;36m", "\x1b[1;32m", "\x1b[0m"};

std::string shown_path(std::filesystem::path const& file, std::filesystem::path const& base) {
  auto const whole = file.lexically_normal();
  if (!base.empty() && whole.is_absolute() == base.is_absolute()) {
    auto const relative = whole.lexically_relative(base.lexically_normal());
    if (!relative.empty() && *relative.begin() != ".." && relative != ".") return escaped(relative.string());
  }
  return escaped(whole.string());
}

std::optional<std::string> source_line(std::filesystem::path const& file, std::uint32_t number) {
  std::error_code error;
  // A device or a pipe could block or never end.
  if (!std::filesystem::is_regular_file(file, error)) return std::nullopt;
  if (auto const size = std::filesystem::file_size(file, error); error || size > file_bytes_max)
    return std::nullopt;
  std::ifstream in(file, std::ios::binary);
  std::string line;
  for (std::uint32_t i = 0; i < number; ++i) {
    if (!std::getline(in, line)) return std::nullopt;
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.size() > line_bytes_max) return std::nullopt;
  return line;
}

/// The line and the marks below it, both of equal width in terminal columns.
struct snippet {
  std::string text, marks;
};

snippet draw(std::string_view line, std::uint32_t column, std::uint32_t length) {
  struct cell {
    std::string text;
    std::size_t columns;
    char mark;
  };
  std::vector<cell> cells;
  std::size_t at = 1;
  std::size_t caret_cell = 0;
  std::size_t columns = 0;
  auto const last = std::size_t{column} + std::max<std::uint32_t>(1, length);
  while (!line.empty()) {
    auto one = show_first(line);
    if (line[0] == '\t') {
      one.columns = 8 - columns % 8;
      one.text = std::string(one.columns, ' ');
    }
    auto const marked = column != 0 && at < last && at + one.bytes > column;
    auto const is_caret = marked && at <= column;
    if (is_caret) caret_cell = cells.size();
    columns += one.columns;
    cells.push_back({std::move(one.text), one.columns, is_caret ? '^' : marked ? '~' : ' '});
    line.remove_prefix(one.bytes);
    at += one.bytes;
  }
  if (column >= at) {  // an error at the end of the line points behind it
    caret_cell = cells.size();
    cells.push_back({" ", 1, '^'});
  }

  // A long line is cut around the caret.
  std::size_t begin = 0;
  std::size_t end = cells.size();
  if (columns > shown_columns_max) {
    std::size_t before = 0;
    begin = caret_cell;
    while (begin > 0 && before + cells[begin - 1].columns <= shown_columns_max / 3)
      before += cells[--begin].columns;
    end = begin;
    std::size_t width = 0;
    while (end < cells.size() && width + cells[end].columns <= shown_columns_max)
      width += cells[end++].columns;
  }

  snippet result;
  if (begin > 0) {
    result.text = "...";
    result.marks = "   ";
  }
  for (auto i = begin; i < end; ++i) {
    result.text += cells[i].text;
    if (cells[i].columns == 0) continue;
    result.marks += cells[i].mark;
    result.marks.append(cells[i].columns - 1, cells[i].mark == ' ' ? ' ' : '~');
  }
  if (end < cells.size()) result.text += "...";
  for (auto* one : {&result.text, &result.marks}) {
    while (!one->empty() && one->back() == ' ') one->pop_back();
  }
  return result;
}

void print_place(std::ostream& out, source_location const& where, std::filesystem::path const& base) {
  out << shown_path(where.file, base);
  if (where.line != 0) out << ':' << where.line;
  if (where.line != 0 && where.column != 0) out << ':' << where.column;
  out << ": ";
}

void print_snippet(std::ostream& out, source_location const& where, palette const& colors) {
  if (where.line == 0) return;
  auto const line = source_line(where.file, where.line);
  if (!line) return;
  auto const [text, marks] = draw(*line, where.column, where.length);
  out << fmt::format("{:>5} | {}\n", where.line, text);
  if (!marks.empty()) out << fmt::format("      | {}{}{}\n", colors.caret, marks, colors.off);
}

/// A place without a file is no place: the thing came from the command line.
bool has_place(std::optional<source_location> const& where) {
  return where && !where->file.empty();
}

}  // namespace

void print_text(std::ostream& out, diagnostic const& one, std::filesystem::path const& base,
                color_choice color) {
  auto const& colors = color == color_choice::always ? colored : plain;
  out << colors.bold;
  if (has_place(one.where))
    print_place(out, *one.where, base);
  else
    out << "morgana: ";
  switch (one.level) {
    case severity::error:
      out << colors.off << colors.error << "error: ";
      break;
    case severity::warning:
      out << colors.off << colors.warning << "warning: ";
      break;
    case severity::note:
      out << colors.off << colors.note << "note: ";
      break;
  }
  out << colors.off << colors.bold << escaped(one.message) << colors.off;
  if (!one.code.empty()) out << " [" << escaped(one.code) << ']';
  out << '\n';
  if (has_place(one.where)) print_snippet(out, *one.where, colors);
  for (auto const& note : one.notes) {
    out << colors.bold;
    if (has_place(note.where)) print_place(out, *note.where, base);
    out << colors.off << colors.note << "note: " << colors.off << escaped(note.message) << '\n';
    if (has_place(note.where)) print_snippet(out, *note.where, colors);
  }
  for (auto const& help : one.help) out << colors.bold << "help: " << colors.off << escaped(help) << '\n';
}

}  // namespace morgana::driver

// toml++ builds and destroys nested tables recursively, and a dotted key nests without a bracket, so a
// small hostile file could exhaust the stack. This scan bounds the depth first. It follows TOML's strings
// and comments and nothing else; where it is unsure it counts, it never lets more through.
#include <array>

#include "description/toml_node.hpp"

namespace morgana::driver::toml_detail {
namespace {

constexpr std::size_t text_bytes_max = 4u << 20;
constexpr int brackets_max = 32;
constexpr int dots_in_line_max = 64;

struct scanner {
  std::string_view text;
  std::size_t at = 0;
  std::uint32_t line = 1;
  std::size_t line_start = 0;

  [[nodiscard]] bool starts(std::string_view what) const { return text.substr(at).starts_with(what); }

  void newline() {
    ++line;
    line_start = at + 1;
  }

  /// Skips a string that opens here, whatever its kind. A basic one knows escapes; only """ and ''' may
  /// span lines.
  void skip_string() {
    auto const quote = text[at];
    auto const triple = std::array{quote, quote, quote};
    auto const multi = starts({triple.data(), 3});
    at += multi ? 3 : 1;
    while (at < text.size()) {
      if (text[at] == '\\' && quote == '"') {
        if (at + 1 < text.size() && text[at + 1] != '\n') ++at;
      } else if (text[at] == '\n') {
        if (!multi) return;  // an error for the parser to report; the newline is seen by our caller
        newline();
      } else if (multi ? starts({triple.data(), 3}) : text[at] == quote) {
        at += multi ? 2 : 0;
        return;
      }
      ++at;
    }
  }
};

}  // namespace

outcome<void> check_limits(std::string_view text, std::filesystem::path const& file) {
  auto const refuse = [&](scanner const& s, std::string message, std::string help) {
    return fail({.code = "wrong-toml",
                 .message = std::move(message),
                 .where = source_location{file, s.line, static_cast<std::uint32_t>(s.at - s.line_start + 1)},
                 .help = {std::move(help)}});
  };
  scanner s{text};
  if (text.size() > text_bytes_max) {
    return fail({.code = "wrong-toml",
                 .message = "the file is larger than 4 MiB",
                 .where = source_location{file},
                 .help = {"divide it into several files"}});
  }
  int brackets = 0;
  int dots = 0;
  for (; s.at < text.size(); ++s.at) {
    switch (text[s.at]) {
      case '#':
        while (s.at + 1 < text.size() && text[s.at + 1] != '\n') ++s.at;
        break;
      case '"':
      case '\'':
        s.skip_string();
        if (s.at < text.size() && text[s.at] == '\n') {
          s.newline();
          dots = 0;
        }
        break;
      case '\n':
        s.newline();
        dots = 0;
        break;
      case '[':
      case '{':
        if (++brackets > brackets_max)
          return refuse(s, "brackets are nested deeper than 32", "make it flatter");
        break;
      case ']':
      case '}':
        brackets = brackets > 0 ? brackets - 1 : 0;
        break;
      case '.':
        if (++dots > dots_in_line_max) {
          return refuse(s, "more than 64 dots outside strings in one line",
                        "use [table] headers, or more lines");
        }
        break;
      default:
        break;
    }
  }
  return {};
}

}  // namespace morgana::driver::toml_detail

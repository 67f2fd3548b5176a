#include "requirements/reader/text.hpp"

#include <algorithm>
#include <cctype>

namespace morgana::driver {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}
bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c));
}

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

/// The end of what stands before `at`, spaces not counted.
std::size_t skip_spaces_back(std::string_view text, std::size_t at) {
  while (at > 0 && is_space(text[at - 1])) --at;
  return at;
}

std::size_t word_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_word(text[at])) ++at;
  return at;
}

std::size_t word_begin(std::string_view text, std::size_t at) {
  while (at > 0 && is_word(text[at - 1])) --at;
  return at;
}

/// The end of the qualified name of which the word that ends at `at` is a part.
std::size_t name_end(std::string_view text, std::size_t at) {
  for (;;) {
    auto const next = skip_spaces(text, at);
    if (text.substr(next, 2) != "::") return at;
    auto const word = skip_spaces(text, next + 2);
    if (word_end(text, word) == word) return at;
    at = word_end(text, word);
  }
}

std::size_t name_begin(std::string_view text, std::size_t at) {
  for (;;) {
    auto const colons = skip_spaces_back(text, at);
    if (colons < 2 || text.substr(colons - 2, 2) != "::") return at;
    at = colons - 2;
    auto const word = skip_spaces_back(text, at);
    // `::name` at the start of a name: what stands before belongs to something else.
    if (word_begin(text, word) == word || word != at) return at;
    at = word_begin(text, word);
  }
}

/// The byte after a balanced <...> that starts at `at`, or `at`.
std::size_t skip_arguments(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] != '<') return at;
  auto depth = 0;
  for (auto i = at; i < text.size(); ++i) {
    if (text[i] == '<') ++depth;
    if (text[i] == '>' && --depth == 0) return i + 1;
    if (text[i] == ';' || text[i] == '{') break;
  }
  return at;
}

/// Whether a function called start is declared between `at` and the end of the declaration.
bool declares_start(std::string_view text, std::size_t at) {
  auto const end = std::min(text.find_first_of(";{", at), text.size());
  for (auto found = text.find("start", at); found < end; found = text.find("start", found + 1)) {
    auto const after = skip_spaces(text, found + 5);
    if (!is_word(text[found - 1]) && after < end && text[after] == '(') return true;
  }
  return false;
}

}  // namespace

std::optional<constraint_text> constraint_at(std::string_view text, std::size_t offset) {
  if (offset >= text.size() || !is_word(text[offset])) return std::nullopt;
  auto first = word_begin(text, offset);
  auto last = word_end(text, offset);
  if (text.substr(first, last - first) == "auto") {
    last = skip_spaces_back(text, first);
    first = word_begin(text, last);
    if (first == last) return std::nullopt;
  }
  auto const begin = name_begin(text, first);
  auto const end = name_end(text, last);
  auto const next = skip_spaces(text, skip_arguments(text, skip_spaces(text, end)));
  auto const next_end = word_end(text, next);
  auto const next_word = text.substr(next, next_end - next);

  auto const before = skip_spaces_back(text, begin);
  auto const after = skip_spaces(text, next_end);
  bool const in_head = before > 0 && (text[before - 1] == '<' || text[before - 1] == ',') &&
                       !next_word.empty() && after < text.size() &&
                       (text[after] == ',' || text[after] == '>' || text[after] == '=');
  if (next_word != "auto" && !(in_head && declares_start(text, after))) return std::nullopt;

  constraint_text found{.name = {}, .offset = begin, .length = end - begin};
  std::ranges::copy_if(text.substr(begin, end - begin), std::back_inserter(found.name),
                       [](char c) { return !is_space(c); });
  return found;
}

std::string one_line(std::string_view text) {
  std::string out;
  for (char const c : text) {
    if (!is_space(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string one_paragraph(std::string_view comment) {
  auto out = one_line(comment);
  for (std::string_view const mark : {"\\brief ", "@brief "}) {
    if (out.starts_with(mark)) out.erase(0, mark.size());
  }
  return out;
}

std::string flag_of(std::string_view field_name) {
  std::string flag(field_name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::string_view without_morgana(std::string_view qualified_name) {
  if (qualified_name.starts_with("::")) qualified_name.remove_prefix(2);
  constexpr std::string_view home = "morgana::";
  if (qualified_name.starts_with(home)) qualified_name.remove_prefix(home.size());
  return qualified_name;
}

}  // namespace morgana::driver

#include "text_rules.hpp"

#include <algorithm>

#include "morgana/http/request.hpp"

namespace morgana::http {
namespace {

using namespace character_class;

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }

bool is_field_character(char c) {
  auto const value = static_cast<unsigned char>(c);
  return (value >= ' ' && value != 0x7f) || value == '\t';
}

bool is_field_value(std::string_view text) { return std::ranges::all_of(text, is_field_character); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_host(std::string_view text) {
  std::size_t size = 0;
  if (text.starts_with('[')) {
    size = text.find(']');
    if (size == std::string_view::npos) return false;
    auto const address = text.substr(1, size++ - 1);
    if (address.empty() ||
        !std::ranges::all_of(address, [](char c) { return is(c, hexadecimal) || c == ':' || c == '.'; })) {
      return false;
    }
  } else {
    while (size != text.size() && is(text[size], host)) ++size;
  }
  if (size == text.size()) return true;
  auto const port = text.substr(size + 1);
  return text[size] == ':' && port.size() <= 5 && std::ranges::all_of(port, [](char c) { return is(c, digit); });
}

bool is_other_version(std::string_view text) {
  if (text.size() < 9 || !text.starts_with(" HTTP/") || !is(text[6], digit) || text[7] != '.' || !is(text[8], digit)) {
    return false;
  }
  auto const version = text.substr(6, 3);
  return version != "1.0" && version != "1.1";
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto const lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<std::string_view> decode_path(std::string_view path, std::span<char> into) {
  if (path.find('%') == std::string_view::npos) return path;
  std::size_t used = 0;
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      if (i + 2 >= path.size()) return {};
      int const high = hex_value(path[i + 1]);
      int const low = hex_value(path[i + 2]);
      if (high < 0 || low < 0) return {};
      c = static_cast<char>(high * 16 + low);
      // An encoded separator would name another file than the one a cache or proxy in front of us saw.
      if (c == '\0' || c == '/') return {};
      i += 2;
    }
    if (used == into.size()) return {};
    into[used++] = c;
  }
  return std::string_view(into.data(), used);
}

bool request::is_conditional() const {
  constexpr unsigned mask = 1u << static_cast<unsigned>(known_field::range) |
                            1u << static_cast<unsigned>(known_field::if_match) |
                            1u << static_cast<unsigned>(known_field::if_none_match) |
                            1u << static_cast<unsigned>(known_field::if_modified_since) |
                            1u << static_cast<unsigned>(known_field::if_unmodified_since);
  return (present_ & mask) != 0;
}

std::optional<std::string_view> request::header(std::string_view name) const {
  for (auto const& field : headers()) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

}  // namespace morgana::http

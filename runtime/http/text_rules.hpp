// Private to runtime/http: the small grammars of RFC 9110 section 5.6 and RFC 3986 that several files need.
#pragma once

#include <array>
#include <string_view>

namespace morgana::http {

namespace character_class {

enum : unsigned char { token = 1, host = 2, digit = 4, hexadecimal = 8 };

inline constexpr std::array<unsigned char, 256> of = [] {
  std::array<unsigned char, 256> table{};
  auto const mark = [&table](std::string_view characters, unsigned char what) {
    for (char const c : characters) table[static_cast<unsigned char>(c)] |= what;
  };
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view digits = "0123456789";
  mark(letters, token | host);
  mark(digits, token | host | digit | hexadecimal);
  mark("abcdefABCDEF", hexadecimal);
  mark("!#$%&'*+-.^_`|~", token);
  mark("-._~!$&'()*+,;=%", host);   // RFC 3986 section 3.2.2: unreserved, sub-delims, pct-encoded
  return table;
}();

}  // namespace character_class

[[nodiscard]] constexpr bool is(char c, unsigned char what) {
  return (character_class::of[static_cast<unsigned char>(c)] & what) != 0;
}

/// A character of a token: a method, a field name.
[[nodiscard]] constexpr bool is_token_char(char c) { return is(c, character_class::token); }
[[nodiscard]] bool is_token(std::string_view text);

/// A character of a field value.
[[nodiscard]] bool is_field_character(char c);
/// A field value: visible characters, spaces, tabs and obs-text; no control characters, so no line breaks.
[[nodiscard]] bool is_field_value(std::string_view text);

/// Without spaces and tabs at its ends.
[[nodiscard]] std::string_view trim(std::string_view text);

/// `uri-host [ ":" port ]`; may be empty (RFC 9112 section 3.2).
[[nodiscard]] bool is_host(std::string_view text);

/// " HTTP/3.0" and the like: well formed, but neither 1.0 nor 1.1. What follows is not looked at.
[[nodiscard]] bool is_other_version(std::string_view text);

}  // namespace morgana::http

// Private to runtime/http: the small grammars of RFC 9110 section 5.6 and RFC 3986 that several files need.
#pragma once

#include <string_view>

namespace morgana::http {

/// A character of a token: a method, a field name.
[[nodiscard]] bool is_token_char(char c);
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

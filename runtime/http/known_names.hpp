// Private to runtime/http: the fields that are found without a search, by their names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "morgana/http/request.hpp"
#include "text_rules.hpp"

namespace morgana::http {

inline constexpr std::string_view known_names[known_fields] = {
    "host",          "connection",        "content-length",      "content-type", "transfer-encoding",
    "expect",        "range",             "if-match",            "if-none-match", "if-modified-since",
    "if-unmodified-since", "if-range",
};

/// Those of which one is a list, so that several lines are one value (RFC 9110 section 5.3). The parser looks at
/// Connection and Content-Length itself.
inline constexpr unsigned repeatable_fields = 1u << static_cast<unsigned>(known_field::connection) |
                                              1u << static_cast<unsigned>(known_field::if_match) |
                                              1u << static_cast<unsigned>(known_field::if_none_match);

inline constexpr std::size_t not_known = known_fields;

/// Its number as a known_field.
[[nodiscard]] inline std::size_t find_known(std::string_view name) {
  constexpr auto sizes = [] {
    std::uint32_t mask = 0;
    for (auto const& one : known_names) mask |= 1u << one.size();
    return mask;
  }();
  // Of most fields the length, or the first letter, is all that is looked at.
  if (name.size() >= 32 || (sizes >> name.size() & 1) == 0) return not_known;
  auto const first = static_cast<char>(name.front() | 0x20);
  for (std::size_t i = 0; i < known_fields; ++i) {
    auto const& known = known_names[i];
    if (known.size() == name.size() && known.front() == first && equals_ignoring_case(known, name)) return i;
  }
  return not_known;
}

}  // namespace morgana::http

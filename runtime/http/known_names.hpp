// Private to runtime/http: the fields that are found without a search, by their names.
#pragma once

#include <array>
#include <bit>
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

/// Of a token's length: those that have it, a bit each.
inline constexpr auto known_by_size = [] {
  std::array<std::uint16_t, 32> table{};
  for (std::size_t i = 0; i < known_fields; ++i) table[known_names[i].size()] |= static_cast<std::uint16_t>(1u << i);
  return table;
}();

/// The number as a known_field of `name`, a token.
[[nodiscard]] inline std::size_t find_known(std::string_view name) {
  if (name.size() >= known_by_size.size()) return not_known;
  for (unsigned left = known_by_size[name.size()]; left != 0; left &= left - 1) {
    auto const one = static_cast<std::size_t>(std::countr_zero(left));
    // Of letters and '-' this bit is what tells cases apart, and nothing else of a token becomes one of them by it.
    auto const* const known = known_names[one].data();
    std::size_t same = 0;
    while (same != name.size() && (name[same] | 0x20) == known[same]) ++same;
    if (same == name.size()) return one;
  }
  return not_known;
}

}  // namespace morgana::http

// Dates of HTTP: RFC 9110 section 5.6.7. Written in the one form a sender may use, read in all three.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace morgana::http {

inline constexpr std::size_t date_bytes = 29;

/// "Sun, 06 Nov 1994 08:49:37 GMT". Seconds outside the years 1 to 9999 are taken to the nearest end.
[[nodiscard]] std::array<char, date_bytes> format_date(std::int64_t unix_seconds);

/// Also reads "Sunday, 06-Nov-94 08:49:37 GMT" (years from 50 in the future on are in the past century;
/// `now` says when that is) and "Sun Nov  6 08:49:37 1994". The name of the day is not checked.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now = 1'800'000'000);

}  // namespace morgana::http

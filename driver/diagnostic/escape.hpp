// Text of unknown origin made safe for a terminal, one character at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace morgana::driver {

/// Bytes of the first character of a text that is not empty; 0 when it is not well-formed UTF-8 (RFC 3629).
[[nodiscard]] std::size_t utf8_length(std::string_view text);

/// How the first character of a text is shown.
struct shown_character {
  std::size_t bytes = 1;    ///< of the input it stands for
  std::size_t columns = 1;  ///< of the terminal it takes
  std::string text;         ///< itself, or `\x1b`, `\u202e` for what a terminal or a reader must not obey
};

/// `text` must not be empty. Controls, bidirectional overrides and bytes that are no UTF-8 are escaped.
[[nodiscard]] shown_character show_first(std::string_view text);

[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace morgana::driver

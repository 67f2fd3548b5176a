// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace morgana::detail {

/// Bytes of the first code point of `text` when it is well formed; 0 otherwise. `point` may be null.
[[nodiscard]] constexpr std::size_t code_point_length(std::string_view text, char32_t* point = nullptr) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  unsigned const first = byte(0);
  std::size_t const length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  char32_t value = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
    value = value << 6 | (byte(i) & 0x3fu);
  }
  if (length == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) return 0;
  if (length == 4 && (value < 0x10000 || value > 0x10ffff)) return 0;
  if (point != nullptr) *point = value;
  return length;
}

/// The same, and 0 for what a terminal would obey: C0 and C1 controls, DEL, and the marks that change the
/// direction of text (Unicode Technical Report 36, 3.2: they make a line read as another one).
[[nodiscard]] constexpr std::size_t printable_length(std::string_view text) {
  char32_t point = 0;
  auto const length = code_point_length(text, &point);
  bool const obeyed = point < 0x20 || (point >= 0x7f && point < 0xa0) ||
                      (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return obeyed ? 0 : length;
}

}  // namespace morgana::detail

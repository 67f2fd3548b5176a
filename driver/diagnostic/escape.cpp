#include "diagnostic/escape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace morgana::driver {
namespace {

struct range {
  char32_t first, last;
};

/// Takes no column: combining marks, joiners, variation selectors.
constexpr std::array zero_width{range{0x0300, 0x036f}, range{0x200b, 0x200d}, range{0x20d0, 0x20ff},
                                range{0xfe00, 0xfe0f}, range{0xfe20, 0xfe2f}};

/// Takes two columns on every common terminal: East Asian wide and emoji blocks.
constexpr std::array wide{range{0x1100, 0x115f},  range{0x2e80, 0xa4cf},   range{0xac00, 0xd7a3},
                          range{0xf900, 0xfaff},  range{0xfe30, 0xfe6f},   range{0xff00, 0xff60},
                          range{0xffe0, 0xffe6},  range{0x1f300, 0x1f64f}, range{0x1f900, 0x1f9ff},
                          range{0x20000, 0x3fffd}};

/// Obeyed by terminals, or able to make a line read as another one (Unicode TR 36).
constexpr std::array dangerous{range{0x00, 0x1f},     range{0x7f, 0x9f},     range{0x061c, 0x061c},
                               range{0x200e, 0x200f}, range{0x2028, 0x202e}, range{0x2066, 0x2069},
                               range{0xfeff, 0xfeff}, range{0xfff9, 0xfffb}, range{0xe0000, 0xe007f}};

template <std::size_t Size>
bool within(std::array<range, Size> const& ranges, char32_t point) {
  return std::ranges::any_of(ranges, [&](range one) { return point >= one.first && point <= one.last; });
}

/// The code point at the front and its length; length 0 when it is not well-formed UTF-8 (RFC 3629).
std::pair<char32_t, std::size_t> decode(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  auto const first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {0, 0};
  char32_t point = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return {0, 0};
    point = (point << 6) | (byte(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return {0, 0};
  return {point, length};
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  return decode(text).second;
}

shown_character show_first(std::string_view text) {
  auto const [point, length] = decode(text);
  if (length == 0) return {1, 4, fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text[0]))};
  if (within(dangerous, point)) {
    auto shown = point == '\n'   ? std::string("\\n")
                 : point == '\t' ? std::string("\\t")
                 : point == '\r' ? std::string("\\r")
                 : point < 0x100 ? fmt::format("\\x{:02x}", static_cast<std::uint32_t>(point))
                                 : fmt::format("\\u{:04x}", static_cast<std::uint32_t>(point));
    auto const columns = shown.size();
    return {length, columns, std::move(shown)};
  }
  std::size_t const columns = within(zero_width, point) ? 0 : within(wide, point) ? 2 : 1;
  return {length, columns, std::string(text.substr(0, length))};
}

std::string escaped(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    auto const one = show_first(text);
    result += one.text;
    text.remove_prefix(one.bytes);
  }
  return result;
}

}  // namespace morgana::driver

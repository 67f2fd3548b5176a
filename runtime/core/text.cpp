#include "morgana/core/text.hpp"

#include <algorithm>
#include <cstring>

#include "utf8.hpp"

namespace morgana {

void text_writer::put(char one) {
  put(std::string_view(&one, 1));
}

void text_writer::put(std::string_view text) {
  auto const room = into_.size() - used_;
  auto const taken = std::min(room, text.size());
  if (taken != 0) std::memcpy(into_.data() + used_, text.data(), taken);
  used_ += taken;
  if (taken != text.size()) cut_ = true;
}

void text_writer::put_unsigned(std::uint64_t value, unsigned base, unsigned width, char fill) {
  char digits[64];
  std::size_t begin = sizeof digits;
  do {
    digits[--begin] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  for (auto written = sizeof digits - begin; written < width; ++written) put(fill);
  put(std::string_view(digits + begin, sizeof digits - begin));
}

std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t most) {
  std::uint64_t value = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    auto const digit = static_cast<std::uint64_t>(c - '0');
    if (digit > most || value > (most - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  if (text.empty()) return std::nullopt;
  return value;
}

void text_writer::put_signed(std::int64_t value) {
  if (value < 0) put('-');
  auto const bits = static_cast<std::uint64_t>(value);
  put_unsigned(value < 0 ? 0 - bits : bits);
}

void text_writer::put_escaped(std::string_view text) {
  std::size_t plain = 0;  // begin of what has not been written yet and needs no escape
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] >= ' ' && text[at] <= '~') {
      ++at;
      continue;
    }
    if (auto const length = detail::printable_length(text.substr(at)); length != 0) {
      at += length;
      continue;
    }
    put(text.substr(plain, at - plain));
    auto const byte = static_cast<unsigned char>(text[at]);
    switch (byte) {
      case '\n':
        put("\\n");
        break;
      case '\r':
        put("\\r");
        break;
      case '\t':
        put("\\t");
        break;
      default:
        put("\\x");
        put_unsigned(byte, 16, 2, '0');
    }
    plain = ++at;
  }
  put(text.substr(plain));
}

namespace detail {

void append_formatted(text_writer& out, std::string_view format, std::span<text_argument const> arguments) {
  std::size_t next = 0;
  while (!format.empty()) {
    auto const brace = format.find('{');
    out.put(format.substr(0, brace));
    if (brace == std::string_view::npos) return;
    format.remove_prefix(brace);
    bool const natural = format.starts_with("{}");
    bool const hexadecimal = format.starts_with("{x}");
    if ((!natural && !hexadecimal) || next == arguments.size()) {
      out.put('{');
      format.remove_prefix(1);
      continue;
    }
    auto const& argument = arguments[next++];
    if (natural) {
      argument.write(out, argument.value);
    } else {
      out.put_unsigned(argument.bits, 16);
    }
    format.remove_prefix(natural ? 2 : 3);
  }
}

}  // namespace detail
}  // namespace morgana

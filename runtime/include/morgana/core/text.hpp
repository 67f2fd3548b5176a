// Text without allocation and without std::format, whose floating-point tables alone would outweigh a hello
// image. A text_writer appends to a buffer it does not own; what does not fit is cut and remembered.
//
//   fixed_text<64> line;
//   line.append("{} of {} bytes", done, total);
//   auto text = line.view();
//
// A type can be written when it has `void write_text(text_writer&, T const&)` in its namespace. `{}` writes a
// value in its natural form, `{x}` an integer in lower-case hexadecimal. There is nothing more.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace morgana {

template <class... Values>
struct basic_format_string;
template <class... Values>
using format_string = basic_format_string<std::type_identity_t<Values>...>;

class text_writer {
 public:
  explicit text_writer(std::span<char> into) : into_(into) {}

  template <class... Values>
  text_writer& append(format_string<Values...> format, Values const&... values);

  void put(char one);
  void put(std::string_view text);
  void put_unsigned(std::uint64_t value, unsigned base = 10, unsigned width = 0, char fill = ' ');
  void put_signed(std::int64_t value);

  /// Text of unknown origin: control characters and bytes that are not UTF-8 become \n, \t, \x1b and so on,
  /// so that no peer can write to an operator's terminal.
  void put_escaped(std::string_view text);

  [[nodiscard]] std::string_view view() const { return {into_.data(), used_}; }
  [[nodiscard]] bool was_cut() const { return cut_; }
  void clear() { used_ = 0, cut_ = false; }

 private:
  std::span<char> into_;
  std::size_t used_ = 0;
  bool cut_ = false;
};

/// A number in decimal digits and nothing else; nothing when it is none or larger than `most`.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t most = UINT64_MAX);

inline void write_text(text_writer& out, std::string_view value) {
  out.put(value);
}
inline void write_text(text_writer& out, char value) {
  out.put(value);
}
template <std::same_as<bool> B>
void write_text(text_writer& out, B value) {
  out.put(value ? std::string_view("true") : std::string_view("false"));
}
template <std::integral I>
  requires(!std::same_as<I, bool> && !std::same_as<I, char>)
void write_text(text_writer& out, I value) {
  if constexpr (std::signed_integral<I>) {
    out.put_signed(static_cast<std::int64_t>(value));
  } else {
    out.put_unsigned(static_cast<std::uint64_t>(value));
  }
}

template <class T>
concept writable_text = requires(text_writer& out, T const& value) { write_text(out, value); };

namespace detail {

/// One value of an argument list, with its type erased: formatting is one function, not one per call.
struct text_argument {
  void const* value;
  void (*write)(text_writer&, void const*);
  std::uint64_t bits;  ///< for {x}
};

template <writable_text T>
text_argument make_argument(T const& value) {
  std::uint64_t bits = 0;
  if constexpr (std::same_as<T, bool>) {
    bits = value ? 1 : 0;
  } else if constexpr (std::integral<T>) {
    bits = static_cast<std::make_unsigned_t<T>>(value);
  }
  return {&value,
          [](text_writer& out, void const* erased) { write_text(out, *static_cast<T const*>(erased)); },
          bits};
}

void append_formatted(text_writer& out, std::string_view format, std::span<text_argument const> arguments);

consteval std::size_t count_placeholders(std::string_view format) {
  std::size_t count = 0;
  for (std::size_t i = 0; i + 1 < format.size(); ++i) {
    if (format[i] == '{' && (format[i + 1] == '}' || format.substr(i).starts_with("{x}"))) ++count;
  }
  return count;
}
void placeholders_and_values_differ();  // named in the compiler's error; never defined

}  // namespace detail

template <class... Values>
struct basic_format_string {
  std::string_view text;
  template <class S>
    requires std::convertible_to<S const&, std::string_view>
  consteval basic_format_string(S const& literal) : text(literal) {  // NOLINT: implicit on purpose
    if (detail::count_placeholders(text) != sizeof...(Values)) detail::placeholders_and_values_differ();
  }
};
template <class... Values>
text_writer& text_writer::append(format_string<Values...> format, Values const&... values) {
  detail::text_argument const arguments[] = {detail::make_argument(values)..., {}};
  detail::append_formatted(*this, format.text, std::span(arguments, sizeof...(Values)));
  return *this;
}

/// A buffer of its own: `Bytes` of text.
template <std::size_t Bytes>
class fixed_text : public text_writer {
 public:
  fixed_text() : text_writer(std::span<char>(bytes_, Bytes)) {}
  fixed_text(fixed_text const&) = delete;
  fixed_text& operator=(fixed_text const&) = delete;

 private:
  char bytes_[Bytes];
};

}  // namespace morgana

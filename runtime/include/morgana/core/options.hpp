// Boot options: fields of a struct of the application (or of a device), each `--name=VALUE`.
//
// The driver reads the struct with libTooling and generates the table; a type is usable when option_parser
// is specialised for it. Ours: bool, integers, text (std::string_view, std::string), durations ("250ms",
// "10s", "2min", "1h"), enums that specialise option_names, std::optional of any of these, and net addresses
// (in net/).
//
//   struct options {
//     /// Port to listen on.
//     std::uint16_t port = 8080;
//     /// How much is said.
//     verbosity talk = verbosity::normal;
//   };
//   template <>
//   struct morgana::option_names<verbosity> {
//     static constexpr std::pair<std::string_view, verbosity> values[] = {{"quiet", verbosity::quiet}, ...};
//   };
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "morgana/core/features.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/text.hpp"

namespace morgana {

/// Why a value was refused. Parsers may give errors of other areas too.
enum class option_error : std::uint8_t {
  malformed,  ///< not a value of that type
  out_of_range,
  not_whole,      ///< a duration finer than the field can hold
  unknown_value,  ///< none of an enum's names
  value_missing,  ///< the last argument is an option that needs a value
  no_such_option,
  left_out,       ///< of something that the image was configured without
  not_an_option,  ///< an argument without dashes
};
[[nodiscard]] error_domain const& domain_of(option_error);

/// Specialise for a type that can be read from text:
///   static constexpr std::string_view placeholder = "PORT";          // in --help: --port=PORT
///   static constexpr result<T> parse(std::string_view text);         // constexpr: may be fixed when
///   configuring static void write_expected(text_writer& out);                    // optional: "a number from
///   0 to 65535"
/// and have write_text for T, so that --help can show a default.
template <class T>
struct option_parser;

template <class T>
concept parseable_option = requires(std::string_view text) {
  { option_parser<T>::parse(text) } -> std::same_as<result<T>>;
  { option_parser<T>::placeholder } -> std::convertible_to<std::string_view>;
};

/// The value of an option that was fixed at configure time: `static constexpr auto port = parse_fixed<...>`.
/// Text that does not parse does not compile; the driver checks it before.
template <parseable_option T>
[[nodiscard]] consteval T parse_fixed(std::string_view text) {
  return option_parser<T>::parse(text).value();
}

/// What start() takes: a struct that has Declared's fields, some of them fixed at configure time as static
/// constexpr members. `if (opt.verbose)` on a fixed field drops the other branch at compile time.
template <class T, class Declared>
concept option_set = std::same_as<typename T::declared, Declared>;

/// One option of the generated table. Made by option<...>() below.
struct boot_option {
  std::string_view name;  ///< "network.port", without the dashes
  std::string_view help;  ///< its doc comment, one paragraph
  std::string_view placeholder;
  /// Reads `text` into the field; `options` is the object that all fields of the table are in.
  result<void> (*assign)(void* options, std::string_view text);
  void (*write_value)(text_writer& out, void const* options);
  void (*write_expected)(text_writer& out);  ///< may be null
  bool is_flag = false;                      ///< bool: `--name` alone means true
  bool is_choice = false;                    ///< an enum: --help lists what is expected
};

/// An option whose field is reached by member pointers, outermost first:
///   option<&boot_options::app, &configured_options::port>("port", "Port to listen on.")
template <auto First, auto... Rest>
[[nodiscard]] constexpr boot_option option(std::string_view name, std::string_view help);

/// Options of one object.
struct option_group {
  std::span<boot_option const> options;
  void* object = nullptr;
  std::span<std::string_view const> left_out = {};  ///< names that are none because the image lacks what they are for
};

/// Why arguments were refused.
struct option_failure {
  std::string_view argument;  ///< as typed
  error reason;
  std::string_view nearest;             ///< for no_such_option: a name that exists, or empty
  boot_option const* option = nullptr;  ///< whose value was refused
};
/// "--port=70000: out of range, expected a number from 0 to 65535", on one line; the argument is escaped.
void write_text(text_writer& out, option_failure const& value);

/// Assigns each `--name=VALUE` (also `--name VALUE`) of `arguments`; the last of several wins. Stops at the
/// first that is wrong.
[[nodiscard]] std::expected<void, option_failure> assign_options(std::span<option_group const> groups,
                                                                 std::span<std::string_view const> arguments);
[[nodiscard]] std::expected<void, option_failure> assign_options(std::span<boot_option const> table,
                                                                 void* options,
                                                                 std::span<std::string_view const> arguments);

/// Writes a titled list of options for people, 80 columns, with the values in `group.object` as defaults,
/// line by line.
void write_option_help(option_group const& group, void (*line)(void* to, std::string_view text), void* to);

// ---- parsers -----------------------------------------------------------------------------------------

namespace detail {

struct parsed_magnitude {
  std::uint64_t value = 0;
  bool malformed = false;
  bool too_large = false;
};
/// Decimal, or hexadecimal after "0x".
[[nodiscard]] constexpr parsed_magnitude parse_magnitude(std::string_view text) {
  unsigned base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  }
  parsed_magnitude parsed;
  parsed.malformed = text.empty();
  for (char const c : text) {
    unsigned digit = 99;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A') + 10;
    if (digit >= base) {
      parsed.malformed = true;
      return parsed;
    }
    if (parsed.value > (std::numeric_limits<std::uint64_t>::max() - digit) / base) parsed.too_large = true;
    parsed.value = parsed.value * base + digit;
  }
  return parsed;
}

/// Splits "250ms" into 250 and nanoseconds per unit; 0 when the unit is unknown.
[[nodiscard]] constexpr std::int64_t unit_nanoseconds(std::string_view unit) {
  constexpr std::pair<std::string_view, std::int64_t> units[] = {{"ns", 1},
                                                                 {"us", 1'000},
                                                                 {"ms", 1'000'000},
                                                                 {"s", 1'000'000'000},
                                                                 {"min", 60'000'000'000},
                                                                 {"h", 3'600'000'000'000},
                                                                 {"d", 86'400'000'000'000}};
  for (auto const& [name, length] : units) {
    if (unit == name) return length;
  }
  return 0;
}
/// Nanoseconds of "250ms", or of "0".
[[nodiscard]] constexpr result<std::int64_t> parse_nanoseconds(std::string_view text) {
  bool const negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  auto const count = parse_magnitude(text.substr(0, digits));
  auto const unit = text.substr(digits);
  if (count.malformed) return failure(option_error::malformed);
  if (unit.empty() && count.value == 0 && !count.too_large) return 0;
  auto const length = unit_nanoseconds(unit);
  if (length == 0) return failure(option_error::malformed);
  if (count.too_large ||
      count.value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / length)) {
    return failure(option_error::out_of_range);
  }
  auto const whole = static_cast<std::int64_t>(count.value) * length;
  return negative ? -whole : whole;
}

void write_nanoseconds(text_writer& out, std::int64_t value);
void write_range(text_writer& out, std::int64_t lowest, std::uint64_t highest);

}  // namespace detail

template <>
struct option_parser<bool> {
  static constexpr std::string_view placeholder = "BOOL";
  static constexpr result<bool> parse(std::string_view text) {
    for (auto yes : {"true", "yes", "on", "1"}) {
      if (text == yes) return true;
    }
    for (auto no : {"false", "no", "off", "0"}) {
      if (text == no) return false;
    }
    return failure(option_error::malformed);
  }
  static void write_expected(text_writer& out) { out.put("true or false"); }
};

template <std::integral T>
  requires(!std::same_as<T, bool> && !std::same_as<T, char>)
struct option_parser<T> {
  static constexpr std::string_view placeholder = "NUMBER";
  static constexpr result<T> parse(std::string_view text) {
    bool const negative = text.starts_with('-');
    auto const parsed = detail::parse_magnitude(negative ? text.substr(1) : text);
    if (parsed.malformed) return failure(option_error::malformed);
    auto const most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    auto const limit = !negative ? most : std::signed_integral<T> ? most + 1 : 0;
    if (parsed.too_large || parsed.value > limit) return failure(option_error::out_of_range);
    return static_cast<T>(negative ? 0 - parsed.value : parsed.value);
  }
  static void write_expected(text_writer& out) {
    detail::write_range(out, static_cast<std::int64_t>(std::numeric_limits<T>::min()),
                        static_cast<std::uint64_t>(std::numeric_limits<T>::max()));
  }
};

template <>
struct option_parser<std::string_view> {
  static constexpr std::string_view placeholder = "TEXT";
  static constexpr result<std::string_view> parse(std::string_view text) { return text; }
};

template <>
struct option_parser<std::string> {
  static constexpr std::string_view placeholder = "TEXT";
  static constexpr result<std::string> parse(std::string_view text) { return std::string(text); }
};

template <std::integral Count, std::intmax_t Numerator, std::intmax_t Denominator>
struct option_parser<std::chrono::duration<Count, std::ratio<Numerator, Denominator>>> {
  using type = std::chrono::duration<Count, std::ratio<Numerator, Denominator>>;
  static constexpr std::string_view placeholder = "TIME";
  static constexpr result<type> parse(std::string_view text) {
    auto const parsed = detail::parse_nanoseconds(text);
    if (!parsed) return failure(error(parsed.error()));
    constexpr std::int64_t tick = 1'000'000'000 / Denominator * Numerator;
    static_assert(tick > 0, "durations finer than a nanosecond are not supported");
    if (*parsed % tick != 0) return failure(option_error::not_whole);
    if (!std::in_range<Count>(*parsed / tick)) return failure(option_error::out_of_range);
    return type(static_cast<Count>(*parsed / tick));
  }
  static void write_expected(text_writer& out) { out.put("a time such as 250ms, 10s, 2min or 1h"); }
};

/// Specialise for an enum: `static constexpr std::pair<std::string_view, E> values[]`.
template <class E>
struct option_names;

template <class E>
concept named_enum = std::is_enum_v<E> && requires { std::span(option_names<E>::values); };

template <named_enum E>
struct option_parser<E> {
  static constexpr std::string_view placeholder = "NAME";
  static constexpr result<E> parse(std::string_view text) {
    for (auto const& [name, value] : option_names<E>::values) {
      if (text == name) return value;
    }
    return failure(option_error::unknown_value);
  }
  static void write_expected(text_writer& out) {
    std::string_view before;
    for (auto const& [name, value] : option_names<E>::values) {
      out.put(std::exchange(before, ", "));
      out.put(name);
    }
  }
};

template <parseable_option T>
struct option_parser<std::optional<T>> {
  static constexpr std::string_view placeholder = option_parser<T>::placeholder;
  static constexpr result<std::optional<T>> parse(std::string_view text) {
    auto parsed = option_parser<T>::parse(text);
    if (!parsed) return failure(error(parsed.error()));
    return std::optional<T>(std::move(*parsed));
  }
  static void write_expected(text_writer& out)
    requires requires { option_parser<T>::write_expected(out); }
  {
    option_parser<T>::write_expected(out);
  }
};

template <named_enum E>
void write_text(text_writer& out, E value) {
  for (auto const& [name, one] : option_names<E>::values) {
    if (one == value) return out.put(name);
  }
  out.put('?');
}
template <std::integral Count, std::intmax_t Numerator, std::intmax_t Denominator>
void write_text(text_writer& out, std::chrono::duration<Count, std::ratio<Numerator, Denominator>> value) {
  detail::write_nanoseconds(out, std::chrono::duration_cast<std::chrono::nanoseconds>(value).count());
}
template <class T>
void write_text(text_writer& out, std::optional<T> const& value) {
  if (value) write_text(out, *value);
}

// ---- the table ---------------------------------------------------------------------------------------

namespace detail {

template <class M>
struct member_pointer;
template <class Owner, class Field>
struct member_pointer<Field Owner::*> {
  using owner = Owner;
};

template <auto First, auto... Rest, class Object>
constexpr auto& reach(Object& object) {
  auto& field = object.*First;
  if constexpr (sizeof...(Rest) == 0) {
    return field;
  } else {
    return reach<Rest...>(field);
  }
}

}  // namespace detail

template <auto First, auto... Rest>
constexpr boot_option option(std::string_view name, std::string_view help) {
  using object = typename detail::member_pointer<decltype(First)>::owner;
  using field = std::remove_cvref_t<decltype(detail::reach<First, Rest...>(std::declval<object&>()))>;
  using parser = option_parser<field>;
  boot_option made{
      .name = name,
      .help = help,
      .placeholder = parser::placeholder,
      .assign = [](void* options, std::string_view text) -> result<void> {
        auto parsed = parser::parse(text);
        if (!parsed) return failure(std::move(parsed.error()));
        detail::reach<First, Rest...>(*static_cast<object*>(options)) = std::move(*parsed);
        return {};
      },
      .write_value =
          [](text_writer& out, void const* options) {
            if (features::help) write_text(out, detail::reach<First, Rest...>(*static_cast<object const*>(options)));
          },
      .write_expected = nullptr,
      .is_flag = std::same_as<field, bool>,
      .is_choice = named_enum<field>,
  };
  if constexpr (requires(text_writer& out) { parser::write_expected(out); })
    made.write_expected = parser::write_expected;
  return made;
}

}  // namespace morgana

// Boot options: fields of a struct of the application (or of a device), each `--name=VALUE`.
//
// The driver reads the struct with libTooling and generates the table; a type is usable when option_parser
// is specialised for it. Ours: bool, integers, char const-free strings (std::string_view, std::string),
// durations ("250ms", "10s", "2min", "1h"), net addresses and endpoints (in net/), and enums that specialise
// option_names<E>.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

#include "morgana/core/result.hpp"
#include "morgana/core/text.hpp"

namespace morgana {

/// Specialise for a type that can be read from text:
///   static constexpr std::string_view placeholder = "PORT";          // in --help: --port=PORT
///   static constexpr result<T> parse(std::string_view text);
/// and have write_text for T, so that --help can show a default.
template <class T>
struct option_parser;

template <class T>
concept parseable_option = requires(std::string_view text) {
  { option_parser<T>::parse(text) } -> std::same_as<result<T>>;
  { option_parser<T>::placeholder } -> std::convertible_to<std::string_view>;
};

/// What start() takes: a struct that has Declared's fields, some of them fixed at configure time as static
/// constexpr members. `if (opt.verbose)` on a fixed field drops the other branch at compile time.
template <class T, class Declared>
concept option_set = std::same_as<typename T::declared, Declared>;

/// One option of the generated table.
struct boot_option {
  std::string_view name;             ///< "network.port", without the dashes
  std::string_view placeholder;
  std::string_view help;
  std::string_view default_text;
  /// Reads `text` into the field; `options` is the application's boot_options object.
  result<void> (*assign)(void* options, std::string_view text);
  bool is_flag = false;              ///< bool: `--name` alone means true
};

/// Why arguments were refused.
struct option_failure {
  std::string_view argument;         ///< as typed
  std::string_view reason;           ///< static text
  std::string_view nearest;          ///< a name that exists, or empty
};

/// Assigns each `--name=VALUE` (also `--name VALUE`) of `arguments`. `--help` is left to the caller.
[[nodiscard]] std::expected<void, option_failure> assign_options(std::span<boot_option const> table, void* options,
                                                                 std::span<std::string_view const> arguments);

}  // namespace morgana

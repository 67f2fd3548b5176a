// Checking a configured value of an option. The driver knows the types of the runtime's own parsers, and
// refuses what they would refuse; any other type is left to its option_parser, at compile time.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "morgana/driver/codegen.hpp"

namespace morgana::driver {
namespace {

struct integer_type {
  std::string_view name;
  bool is_signed;
  unsigned bits;
};

constexpr std::array integer_types{
    integer_type{"signed char", true, 8}, integer_type{"unsigned char", false, 8},
    integer_type{"short", true, 16},      integer_type{"unsigned short", false, 16},
    integer_type{"int", true, 32},        integer_type{"unsigned int", false, 32},
    integer_type{"long", true, 64},       integer_type{"unsigned long", false, 64},
    integer_type{"long long", true, 64},  integer_type{"unsigned long long", false, 64},
};

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string integer_problem(integer_type const& type, std::string_view text) {
  auto const all_ones =
      type.bits == 64 ? std::numeric_limits<std::uint64_t>::max() : (std::uint64_t{1} << type.bits) - 1;
  if (!type.is_signed) {
    auto const value = number<std::uint64_t>(text);
    if (value && *value <= all_ones) return {};
    return fmt::format("expected a number from 0 to {}", all_ones);
  }
  auto const most = static_cast<std::int64_t>(all_ones / 2);
  auto const value = number<std::int64_t>(text);
  if (value && *value <= most && *value >= -most - 1) return {};
  return fmt::format("expected a number from {} to {}", -most - 1, most);
}

struct duration_unit {
  std::string_view suffix;
  std::int64_t nanoseconds;
};
constexpr std::array duration_units{
    duration_unit{"ns", 1},
    duration_unit{"us", 1'000},
    duration_unit{"ms", 1'000'000},
    duration_unit{"s", 1'000'000'000},
    duration_unit{"min", 60'000'000'000},
    duration_unit{"h", 3'600'000'000'000},
};

std::string duration_problem(std::string_view text) {
  auto const digits = text.find_first_not_of("0123456789");
  if (digits != std::string_view::npos && digits != 0) {
    auto const count = number<std::int64_t>(text.substr(0, digits));
    for (auto const& unit : duration_units) {
      if (!count || text.substr(digits) != unit.suffix) continue;
      if (*count <= std::numeric_limits<std::int64_t>::max() / unit.nanoseconds) return {};
      return "expected a duration of at most 292 years";
    }
  }
  return "expected a duration such as `250ms`, `10s`, `2min` or `1h`";
}

}  // namespace

std::string value_problem(option_field const& field, std::string_view text) {
  auto const& type = field.type;
  if (type == "bool") return text == "true" || text == "false" ? "" : "expected `true` or `false`";
  for (auto const& integer : integer_types) {
    if (type == integer.name) return integer_problem(integer, text);
  }
  if (type.starts_with("std::chrono::duration<")) return duration_problem(text);
  return {};
}

}  // namespace morgana::driver

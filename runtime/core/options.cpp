#include "morgana/core/options.hpp"

#include <algorithm>
#include <array>

namespace morgana {

namespace {

std::string_view option_error_message(std::uint32_t code) {
  switch (static_cast<option_error>(code)) {
    case option_error::malformed:
      return "cannot be read";
    case option_error::out_of_range:
      return "out of range";
    case option_error::not_whole:
      return "too fine a time for this option";
    case option_error::unknown_value:
      return "no such value";
    case option_error::value_missing:
      return "its value is missing";
    case option_error::no_such_option:
      return "no such option";
    case option_error::left_out:
      return "this image was configured without it";
    case option_error::not_an_option:
      return "not an option; options are written --NAME=VALUE";
  }
  return "wrong option";
}

constinit error_domain const option_domain{"option", option_error_message};

constexpr std::size_t name_bytes_max = 64;  // longer ones are never near to anything

/// Edits (insert, delete, replace, swap of neighbours) from one name to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::array<std::uint8_t, name_bytes_max + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = static_cast<std::uint8_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    auto const& above = rows[(i + 2) % 3];
    auto const& above_that = rows[(i + 1) % 3];
    row[0] = static_cast<std::uint8_t>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      unsigned best = std::min(above[j] + 1u, row[j - 1] + 1u);
      best = std::min(best, above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        best = std::min(best, above_that[j - 2] + 1u);
      }
      row[j] = static_cast<std::uint8_t>(best);
    }
  }
  return rows[a.size() % 3][b.size()];
}

std::string_view nearest_name(std::span<option_group const> groups, std::string_view wrong) {
  if (wrong.size() > name_bytes_max) return {};
  std::string_view best;
  std::size_t least = 1 + wrong.size() / 3;  // further away is no help
  for (auto const& group : groups) {
    for (auto const& option : group.options) {
      if (option.name.size() > name_bytes_max) continue;
      if (auto const edits = distance(wrong, option.name);
          edits <= least && (best.empty() || edits < least)) {
        least = edits;
        best = option.name;
      }
    }
  }
  if (!best.empty()) return best;
  for (auto const& group : groups) {  // "port" for "network.port"
    for (auto const& option : group.options) {
      auto const dot = option.name.rfind('.');
      if (dot != option.name.npos && option.name.substr(dot + 1) == wrong) return option.name;
    }
  }
  return {};
}

struct found_option {
  boot_option const* option = nullptr;
  void* object = nullptr;
};
found_option find(std::span<option_group const> groups, std::string_view name) {
  for (auto const& group : groups) {
    for (auto const& option : group.options) {
      if (option.name == name) return {&option, group.object};
    }
  }
  return {};
}

bool is_left_out(std::span<option_group const> groups, std::string_view name) {
  return std::ranges::any_of(groups, [&](option_group const& group) {
    return std::ranges::find(group.left_out, name) != group.left_out.end();
  });
}

}  // namespace

error_domain const& domain_of(option_error) {
  return option_domain;
}

std::expected<void, option_failure> assign_options(std::span<option_group const> groups,
                                                   std::span<std::string_view const> arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto const argument = arguments[i];
    auto const fail = [&](error reason, std::string_view nearest = {}, boot_option const* option = nullptr) {
      return std::unexpected(option_failure{argument, std::move(reason), nearest, option});
    };
    if (!argument.starts_with("--") || argument.size() == 2) return fail(option_error::not_an_option);
    auto const equals = argument.find('=');
    auto const name = argument.substr(2, equals == argument.npos ? argument.npos : equals - 2);
    auto const [option, object] = find(groups, name);
    if (option == nullptr && is_left_out(groups, name)) return fail(option_error::left_out);
    if (option == nullptr) return fail(option_error::no_such_option, nearest_name(groups, name));
    std::string_view value = "true";
    if (equals != argument.npos) {
      value = argument.substr(equals + 1);
    } else if (!option->is_flag) {
      if (i + 1 == arguments.size()) return fail(option_error::value_missing, {}, option);
      value = arguments[++i];
    }
    if (auto assigned = option->assign(object, value); !assigned) {
      return fail(std::move(assigned.error()), {}, option);
    }
  }
  return {};
}

std::expected<void, option_failure> assign_options(std::span<boot_option const> table, void* options,
                                                   std::span<std::string_view const> arguments) {
  option_group const group{table, options};
  return assign_options(std::span(&group, 1), arguments);
}

void write_text(text_writer& out, option_failure const& value) {
  out.put_escaped(value.argument);
  out.put(": ");
  write_text(out, value.reason);
  if (value.option != nullptr && value.option->write_expected != nullptr) {
    out.put(", expected ");
    value.option->write_expected(out);
  } else if (value.option != nullptr) {
    out.append(", expected {}", value.option->placeholder);
  }
  if (!value.nearest.empty()) out.append("; did you mean --{}?", value.nearest);
}

// ---- help --------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t columns = 80;
constexpr std::size_t help_column = 28;
constexpr std::size_t width = columns - help_column;

/// Bytes of `text` that go on this line: up to the last blank within `width`, or a whole word if longer.
std::size_t line_length(std::string_view text) {
  if (text.size() <= width) return text.size();
  auto const blank = text.rfind(' ', width);
  if (blank != text.npos && blank != 0) return blank;
  auto const next = text.find(' ');
  return next == text.npos ? text.size() : next;
}

}  // namespace

void write_option_help(option_group const& group, void (*line)(void* to, std::string_view text), void* to) {
  for (auto const& option : group.options) {
    fixed_text<128> name;
    name.append("  --{}", option.name);
    if (!option.is_flag) name.append("={}", option.placeholder);

    fixed_text<1024> text;
    text.put(option.help);
    fixed_text<128> value;
    option.write_value(value, group.object);
    bool const shows_default = !value.view().empty() && !(option.is_flag && value.view() == "false");
    if (option.is_choice || shows_default) {
      text.put(text.view().empty() ? "(" : " (");
      if (option.is_choice) {
        option.write_expected(text);
        if (shows_default) text.put("; ");
      }
      if (shows_default) {
        text.put("default: ");
        text.put_escaped(value.view());
      }
      text.put(')');
    }

    std::string_view rest = text.view();
    fixed_text<256> out;
    out.put(name.view());
    if (name.view().size() + 2 > help_column && !rest.empty()) {
      line(to, out.view());
      out.clear();
    }
    while (!rest.empty()) {
      while (out.view().size() < help_column) out.put(' ');
      auto const length = line_length(rest);
      out.put(rest.substr(0, length));
      line(to, out.view());
      out.clear();
      rest.remove_prefix(length);
      while (rest.starts_with(' ')) rest.remove_prefix(1);
    }
    if (!out.view().empty()) line(to, out.view());
  }
}

namespace detail {

void write_nanoseconds(text_writer& out, std::int64_t value) {
  constexpr std::pair<std::string_view, std::int64_t> units[] = {
      {"h", 3'600'000'000'000}, {"min", 60'000'000'000}, {"s", 1'000'000'000},
      {"ms", 1'000'000},        {"us", 1'000},           {"ns", 1}};
  if (value == 0) return out.put("0s");
  for (auto const& [name, length] : units) {
    if (value % length != 0) continue;
    out.put_signed(value / length);
    return out.put(name);
  }
}

void write_range(text_writer& out, std::int64_t lowest, std::uint64_t highest) {
  out.append("a number from {} to {}", lowest, highest);
}

}  // namespace detail
}  // namespace morgana

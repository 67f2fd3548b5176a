#include "morgana/http/conditions.hpp"

#include <algorithm>

#include "morgana/http/date.hpp"
#include "text_rules.hpp"

namespace morgana::http {
namespace {

enum class comparison : std::uint8_t { strong, weak };

/// Whether a list of entity tags names `tag` (RFC 9110 section 8.8.3.2). A malformed rest names nothing.
bool list_names(std::string_view list, std::string_view tag, comparison how) {
  while (!list.empty()) {
    list = trim(list);
    if (list.starts_with(',')) {
      list.remove_prefix(1);
      continue;
    }
    bool const is_weak = list.starts_with("W/");
    if (is_weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    auto const close = list.find('"', 1);
    if (close == std::string_view::npos) return false;
    if (list.substr(0, close + 1) == tag && (!is_weak || how == comparison::weak)) return true;
    list.remove_prefix(close + 1);
  }
  return false;
}

/// If-Match or If-None-Match, over all its lines.
bool tags_match(request const& asked, std::string_view field, std::string_view tag, comparison how) {
  return std::ranges::any_of(asked.headers(), [&](header_field const& one) {
    return equals_ignoring_case(one.name, field) && (one.value == "*" || (!tag.empty() && list_names(one.value, tag, how)));
  });
}

std::optional<std::uint64_t> number(std::string_view text) {
  return parse_decimal(text);
}

/// If-Range (section 13.1.5): true when the part may be sent.
bool range_still_holds(request const& asked, representation const& selected) {
  if (!asked.has(known_field::if_range)) return true;
  auto const value = asked.header(known_field::if_range);
  if (value.starts_with('"')) return value == selected.entity_tag;
  if (value.starts_with("W/")) return false;
  auto const date = parse_date(value);
  return date && selected.modified_unix_seconds != 0 && *date == selected.modified_unix_seconds;
}

}  // namespace

range_outcome parse_range(std::string_view value, std::uint64_t size_bytes, byte_range& found) {
  constexpr std::string_view unit = "bytes=";
  if (value.size() < unit.size() || !equals_ignoring_case(value.substr(0, unit.size()), unit)) return range_outcome::none;
  value = trim(value.substr(unit.size()));
  auto const dash = value.find('-');
  if (dash == std::string_view::npos || value.find(',') != std::string_view::npos) return range_outcome::none;
  auto const first_text = value.substr(0, dash);
  auto const last_text = value.substr(dash + 1);

  if (first_text.empty()) {
    auto const suffix = number(last_text);
    if (!suffix) return range_outcome::none;
    if (*suffix == 0 || size_bytes == 0) return range_outcome::unsatisfiable;
    found.size = std::min(*suffix, size_bytes);
    found.first = size_bytes - found.size;
    return range_outcome::satisfiable;
  }
  auto const first = number(first_text);
  if (!first) return range_outcome::none;
  auto last = size_bytes == 0 ? 0 : size_bytes - 1;
  if (!last_text.empty()) {
    auto const asked_last = number(last_text);
    if (!asked_last || *asked_last < *first) return range_outcome::none;
    last = std::min(last, *asked_last);
  }
  if (*first >= size_bytes) return range_outcome::unsatisfiable;
  found.first = *first;
  found.size = last - *first + 1;
  return range_outcome::satisfiable;
}

decision evaluate(request const& asked, representation const& selected) {
  auto const modified = selected.modified_unix_seconds;
  if (asked.has(known_field::if_match)) {
    if (!tags_match(asked, "If-Match", selected.entity_tag, comparison::strong)) return {disposition::precondition_failed, {}};
  } else if (asked.has(known_field::if_unmodified_since) && modified != 0) {
    auto const since = parse_date(asked.header(known_field::if_unmodified_since));
    if (since && modified > *since) return {disposition::precondition_failed, {}};
  }
  if (asked.has(known_field::if_none_match)) {
    if (tags_match(asked, "If-None-Match", selected.entity_tag, comparison::weak)) return {disposition::not_modified, {}};
  } else if (asked.has(known_field::if_modified_since) && modified != 0) {
    auto const since = parse_date(asked.header(known_field::if_modified_since));
    if (since && modified <= *since) return {disposition::not_modified, {}};
  }
  decision whole{disposition::whole, {0, selected.size_bytes}};
  if (asked.method() != method::get || !asked.has(known_field::range) || !range_still_holds(asked, selected)) return whole;
  byte_range part;
  switch (parse_range(asked.header(known_field::range), selected.size_bytes, part)) {
    case range_outcome::satisfiable: return {disposition::part, part};
    case range_outcome::unsatisfiable: return {disposition::unsatisfiable, {}};
    case range_outcome::none: break;
  }
  return whole;
}

}  // namespace morgana::http

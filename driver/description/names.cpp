#include "description/names.hpp"

#include <algorithm>

namespace morgana::driver {
namespace {

constexpr std::size_t name_bytes_max = 63;

// Not <cctype>: its answers depend on the locale.
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <class First, class Rest>
bool has_form(std::string_view text, First first, Rest rest) {
  return !text.empty() && first(text.front()) && std::ranges::all_of(text.substr(1), rest);
}

}  // namespace

bool is_identifier(std::string_view text) {
  return has_form(
      text, [](char c) { return is_letter(c) || c == '_'; },
      [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

bool is_qualified_name(std::string_view text) {
  while (true) {
    auto const separator = text.find("::");
    if (!is_identifier(text.substr(0, separator))) return false;
    if (separator == std::string_view::npos) return true;
    text.remove_prefix(separator + 2);
  }
}

bool is_application_name(std::string_view text) {
  return text.size() <= name_bytes_max &&
         has_form(text, is_lower, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

std::string application_name_from(std::string_view text) {
  std::string result;
  for (auto c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!is_lower(c) && !is_digit(c)) c = '-';
    if (result.empty() && !is_lower(c)) continue;
    if (c == '-' && result.back() == '-') continue;
    if (result.size() < name_bytes_max) result += c;
  }
  while (!result.empty() && result.back() == '-') result.pop_back();
  return result;
}

bool is_target_name(std::string_view text) {
  return text.size() <= name_bytes_max &&
         has_form(text, is_lower, [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; });
}

bool is_setting_name(std::string_view text) {
  return has_form(
      text, [](char c) { return is_letter(c) || c == '_'; },
      [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; });
}

}  // namespace morgana::driver

#include "catalogue/placeholder.hpp"

namespace morgana::driver {

std::expected<std::string, std::string> replace_placeholders(std::string_view text,
                                                             placeholder_lookup const& lookup) {
  std::string result;
  while (!text.empty()) {
    if (text.starts_with("{{") || text.starts_with("}}")) {
      result += text.front();
      text.remove_prefix(2);
    } else if (text.front() == '}') {
      return std::unexpected(std::string("}"));
    } else if (text.front() == '{') {
      auto const end = text.find_first_of("{}", 1);
      if (end == std::string_view::npos || text[end] == '{' || end == 1)
        return std::unexpected(std::string("{"));
      auto const name = text.substr(1, end - 1);
      auto value = lookup(name);
      if (!value) return std::unexpected(std::string(name));
      result += *value;
      text.remove_prefix(end + 1);
    } else {
      auto const plain = text.substr(0, text.find_first_of("{}"));
      result += plain;
      text.remove_prefix(plain.size());
    }
  }
  return result;
}

}  // namespace morgana::driver

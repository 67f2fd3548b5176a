#include "package/names.hpp"

#include <algorithm>

namespace morgana::driver::package_detail {

namespace {

bool lower_or_digit(char one) {
  return (one >= 'a' && one <= 'z') || (one >= '0' && one <= '9');
}

}  // namespace

bool is_package_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && lower_or_digit(text.front()) &&
         std::ranges::all_of(
             text, [](char one) { return lower_or_digit(one) || one == '+' || one == '.' || one == '-'; });
}

bool is_package_version(std::string_view text) {
  auto const letter = [](char one) { return lower_or_digit(one) || (one >= 'A' && one <= 'Z'); };
  return !text.empty() && text.size() <= 128 && letter(text.front()) &&
         std::ranges::all_of(
             text, [&](char one) { return letter(one) || std::string_view(".+~:-").contains(one); });
}

bool is_hash(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char one) {
           return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'f');
         });
}

bool is_file_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 && text != "." && text != ".." && !text.starts_with('-') &&
         std::ranges::none_of(text,
                              [](char one) { return one == '/' || static_cast<unsigned char>(one) < 0x20; });
}

}  // namespace morgana::driver::package_detail

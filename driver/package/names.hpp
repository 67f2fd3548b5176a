// The forms of names in recipes.
#pragma once

#include <string_view>

namespace morgana::driver::package_detail {

/// [a-z0-9][a-z0-9+.-]*, at most 64.
[[nodiscard]] bool is_package_name(std::string_view text);
/// A Debian version: [0-9A-Za-z][0-9A-Za-z.+~:-]*, at most 128.
[[nodiscard]] bool is_package_version(std::string_view text);
/// Lower-case hexadecimal digits, exactly so many.
[[nodiscard]] bool is_hash(std::string_view text, std::size_t digits);
/// One component of a path.
[[nodiscard]] bool is_file_name(std::string_view text);

}  // namespace morgana::driver::package_detail

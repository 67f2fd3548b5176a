// The forms of names that several files of the driver's input share.
#pragma once

#include <string>
#include <string_view>

namespace morgana::driver {

/// Said wherever a size is wrong.
inline constexpr std::string_view size_help =
    "write bytes (`4096`) or a binary unit (`64 KiB`, `16 MiB`, `1 GiB`)";

/// A C++ identifier in ASCII.
[[nodiscard]] bool is_identifier(std::string_view text);

/// Identifiers joined by "::", without a leading one: "net::stack".
[[nodiscard]] bool is_qualified_name(std::string_view text);

/// [a-z][a-z0-9-]*, at most 63: usable as a file, host and domain name.
[[nodiscard]] bool is_application_name(std::string_view text);

/// The application name nearest to a text ("My App" gives "my-app"); empty when there is none.
[[nodiscard]] std::string application_name_from(std::string_view text);

/// [a-z][a-z0-9_-]*, at most 63: "unix", "xen-x86_64".
[[nodiscard]] bool is_target_name(std::string_view text);

/// [A-Za-z_][A-Za-z0-9_-]*: a setting, an implementation, an option.
[[nodiscard]] bool is_setting_name(std::string_view text);

}  // namespace morgana::driver

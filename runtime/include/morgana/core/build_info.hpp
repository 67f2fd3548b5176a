// What an image was made of: the packages that are linked into it, as the lock file has them. Defined in a
// source that the driver generates; an image that does not ask for it does not carry it.
#pragma once

#include <span>
#include <string_view>

namespace morgana {

struct linked_package {
  std::string_view name;       ///< "morgana-http", "llhttp"
  std::string_view version;    ///< "9.2.1"
  std::string_view licence;    ///< as the recipe says: "MIT"
};

/// Sorted by name; the text lives for ever.
[[nodiscard]] std::span<linked_package const> build_info();

}  // namespace morgana

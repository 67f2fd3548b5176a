// Names inside a target's build folder. An application's name has no `_` and no `.`, so that none of these
// can be the image's.
#pragma once

#include <string_view>

namespace morgana::driver::layout {

inline constexpr std::string_view application = "source_root";  ///< link to the application's folder
inline constexpr std::string_view packages = "package_store";   ///< a link to each package's store entry
inline constexpr std::string_view objects = "object_files";

}  // namespace morgana::driver::layout

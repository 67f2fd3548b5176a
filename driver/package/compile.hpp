// Building what the store lacks: one build.ninja for all of it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/package.hpp"
#include "package/store.hpp"

namespace morgana::driver::package_detail {

/// One object: where it is made, and where a copy may be kept.
struct build_object {
  std::string source;          ///< relative to the source's root
  std::string output;          ///< relative to the staging folder
  std::filesystem::path kept;  ///< in the cache; empty for sources that never change
  bool reused = false;
};

/// An entry that is being made, below `PREFIX-KEY/` of the staging folder.
struct entry_build {
  build_item const* item = nullptr;
  std::string folder;
  std::vector<std::vector<build_object>> objects;  ///< of each archive
};

/// The text of build.ninja. Every name in it is relative to the staging folder, in which `PREFIX` is a link
/// to a package's source: so no object depends on where cache or source lie, and two packages never have
/// sources of one name, which would make ThinLTO take their local functions for the same.
[[nodiscard]] std::string ninja_text(std::vector<entry_build> const& entries,
                                     std::vector<build_item> const& items, guest_toolchain const& toolchain,
                                     std::filesystem::path const& staging);

/// The first error in the output of a failed build, as a diagnostic.
[[nodiscard]] diagnostic explain_failure(std::string_view output, std::vector<build_item> const& items,
                                         std::vector<entry_build> const& entries,
                                         std::filesystem::path const& log);

/// Prerequisites in a depfile of clang.
[[nodiscard]] std::vector<std::string> read_depfile(std::string_view text);

}  // namespace morgana::driver::package_detail

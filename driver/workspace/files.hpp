// Small things on files that several parts of the workspace need.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "morgana/driver/package.hpp"

namespace morgana::driver {

/// The bytes of a file; nothing when it cannot be read.
[[nodiscard]] std::optional<std::string> read_file(std::filesystem::path const& file);

/// Writes beside its place and renames; false when that fails. Makes the folders above it.
bool write_file(std::filesystem::path const& file, std::string_view text);

/// [toolchain] of the lock.
[[nodiscard]] std::map<std::string, std::string> toolchain_versions(guest_toolchain const& tools);

}  // namespace morgana::driver

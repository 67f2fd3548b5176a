// What a target's description means for compiling.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

/// Fills the toolchain's flags from the target and its settings.
void set_guest_flags(configuration& what);

/// Flags for parsing the entry point.
[[nodiscard]] std::vector<std::string> parse_flags(configuration const& what);

/// The target's own guest code as a package in a folder, so that it is built once into the store.
[[nodiscard]] chosen_package guest_package(target const& on);
[[nodiscard]] std::vector<std::filesystem::path> guest_includes(target const& on);

/// The application's include folders, absolute.
[[nodiscard]] std::vector<std::filesystem::path> application_includes(description const& app);

/// Its sources, relative to its folder, sorted. Errors: `no-sources` (a glob that matches nothing).
[[nodiscard]] outcome<std::vector<std::string>> application_sources(description const& app);

/// File name of the image, from the target's artefacts.
[[nodiscard]] std::string image_name(configuration const& what);
/// All artefacts by name: those the target declares, and `debug`, `map`, `manifest`.
[[nodiscard]] std::map<std::string, std::string> artefact_names(configuration const& what);

}  // namespace morgana::driver

// Writing build/morgana.json.
#pragma once

#include <map>
#include <string>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

[[nodiscard]] std::string to_text(workspace_state const& state);

/// The environment variables that decide about a configuration, with their values.
[[nodiscard]] std::map<std::string, std::string> deciding_environment();

/// The command `morgana`, for Ninja to call and for a plan to name its maker: this program, or, for one that uses the
/// library (the Python package), the one that was installed with it.
[[nodiscard]] std::filesystem::path driver_program();

}  // namespace morgana::driver

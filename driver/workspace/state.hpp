// Writing build/morgana.json.
#pragma once

#include <map>
#include <string>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

[[nodiscard]] std::string to_text(workspace_state const& state);

/// The environment variables that decide about a configuration, with their values.
[[nodiscard]] std::map<std::string, std::string> deciding_environment();

}  // namespace morgana::driver

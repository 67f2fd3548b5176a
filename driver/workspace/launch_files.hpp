// Files beside the image for other programs that run it: the target's texts (target.hpp) with their holes
// filled.
#pragma once

#include <vector>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

/// Nothing in them depends on the host or on where the application lies.
/// Errors: `placeholder` (a hole that stands for nothing, at its text).
[[nodiscard]] outcome<std::vector<plan_file>> launch_files(configuration const& what);

}  // namespace morgana::driver

// The plugin's verb `lower`: a target whose image is made in another way than by one link answers with rules
// and edges of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

struct lower_request {
  configuration const* what = nullptr;
  std::vector<std::string> objects;
  std::vector<std::string> archives;
  std::string image;
};

/// Nothing when the target has no library, or its library no such verb.
/// Errors: the plugin's own, `plugin-response` (an answer that is no plan).
[[nodiscard]] outcome<std::optional<build_plan>> lower(lower_request const& request);

/// Appends what the plugin answered.
void merge_lowered(build_plan& into, build_plan const& answer);

}  // namespace morgana::driver

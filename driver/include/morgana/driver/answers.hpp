// Answers about an application: what it is made of, and why something is in its image. For people as text,
// for programs (`--message-format json`, Python) as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "morgana/driver/workspace.hpp"

namespace morgana::driver {

struct answer {
  std::string text;
  nlohmann::ordered_json json;  ///< with its "kind"
};

/// A default as people read it: evaluated, else as it was written.
[[nodiscard]] std::string default_text(option_field const& field);

/// Name, target, settings, options, devices and packages.
[[nodiscard]] nlohmann::ordered_json describe_json(configuration const& what);

/// Why a device or a package was chosen; nothing when `thing` names neither.
[[nodiscard]] std::optional<answer> why_chosen(configuration const& what, std::string const& thing);

/// Why a symbol was linked, as the linker says; the image must be built. Errors: `unreadable-file`,
/// `unknown-name` (with the nearest), `missing-tool`, `why-unknown` (it cannot be asked).
[[nodiscard]] outcome<answer> why_linked(configuration const& what, std::string const& thing);

}  // namespace morgana::driver

// The machine protocol's messages as values: what the driver sends, and what a runner's words mean.
#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "morgana/driver/machine.hpp"

namespace morgana::driver::messages {

struct hello {
  std::uint64_t major = 0, minor = 0;
  std::vector<std::string> capabilities;
};

/// A message of a type that a later minor version has; it is passed over.
struct unknown {};

using message = std::variant<hello, machine_event, unknown>;

/// Reads one frame's text. The error says what makes no sense.
[[nodiscard]] std::expected<message, std::string> parse(std::string_view text);

/// The start message. Errors: `wrong-value`.
[[nodiscard]] outcome<nlohmann::json> start(target const& on, machine_configuration const& what);

/// The frame's text. Errors: `wrong-value` (longer than a frame may be, or not UTF-8).
[[nodiscard]] outcome<std::string> to_text(nlohmann::json const& message);

}  // namespace morgana::driver::messages

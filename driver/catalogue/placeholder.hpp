// {NAME} in the `type` of a device.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace morgana::driver {

/// What a placeholder's name stands for; nullopt when it stands for nothing.
using placeholder_lookup = std::function<std::optional<std::string>(std::string_view name)>;

/// The text with each {NAME} replaced, {{ and }} read as braces. The error is the name that stands for
/// nothing, or "{" or "}" for a brace that belongs to no placeholder.
[[nodiscard]] std::expected<std::string, std::string> replace_placeholders(std::string_view text,
                                                                           placeholder_lookup const& lookup);

}  // namespace morgana::driver

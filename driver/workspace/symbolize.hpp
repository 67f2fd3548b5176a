// Crash reports with names: a stripped image knows only addresses, its debug file knows what they are.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace morgana::driver {

/// The frames of a crash report with functions and lines, or nothing when it has none or the tool is missing.
/// An address counts when it stands as `image+0xHEX`: relative to where the image was loaded.
[[nodiscard]] std::string symbolize_report(std::string_view report, std::filesystem::path const& debug_file);

}  // namespace morgana::driver

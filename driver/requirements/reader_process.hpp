// Runs the reader process: request in, answer out, within a deadline.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "morgana/driver/diagnostic.hpp"

namespace morgana::driver {

inline constexpr std::chrono::seconds reader_deadline{60};
/// An answer is some kilobytes; more than this is a reader gone wrong.
inline constexpr std::size_t reader_answer_bytes_max = std::size_t{64} << 20;

/// ../libexec/morgana/morgana-requirements, seen from the running executable.
[[nodiscard]] std::filesystem::path default_reader();

/// Starts `reader`, writes `request` to its standard input and returns what it printed.
/// Errors: `missing-tool` (it cannot be started), `parser-failed` (it crashed, hung, or said too much).
[[nodiscard]] outcome<std::string> run_reader(std::filesystem::path const& reader, std::string_view request,
                                              std::chrono::milliseconds deadline = reader_deadline);

}  // namespace morgana::driver

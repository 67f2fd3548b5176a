// What the driver and its reader process say to each other: one JSON request, one JSON answer.
//
// The reader (libexec/morgana/morgana-requirements) is a process of its own because loading clang's front
// end costs more than a whole warm configure, because a crash of clang must not be a crash of the driver,
// and because a deadline can end it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/requirements.hpp"

namespace morgana::driver {

struct reader_request {
  /// Read the requirements of this entry point; empty: read `queries` instead.
  std::filesystem::path entry;
  std::vector<std::filesystem::path> include;
  std::vector<std::string> flags;
  std::vector<option_struct_query> queries;
  /// requirement_input::device_concepts; in no cache key, because only messages use it.
  std::vector<std::string> device_concepts;
};

struct reader_answer {
  /// Every file the front end opened, by absolute path: what the answer depends on.
  std::vector<std::filesystem::path> files;
  /// Empty when the reading succeeded.
  diagnostics errors;
  requirements needs;
  std::vector<option_struct> structs;
};

[[nodiscard]] std::string to_json_text(reader_request const& request);
[[nodiscard]] std::string to_json_text(reader_answer const& answer);
/// Nothing when the text is not what to_json_text() writes.
[[nodiscard]] std::optional<reader_request> read_request(std::string_view text);
[[nodiscard]] std::optional<reader_answer> read_answer(std::string_view text);

}  // namespace morgana::driver

// What the tests of the requirements share.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "morgana/driver/requirements.hpp"
#include "tests/support/scratch_folder.hpp"

namespace requirements_test {

inline std::filesystem::path const data = MORGANA_TEST_DATA;

inline morgana::driver::requirement_input input_of(std::string const& app) {
  return {.entry = data / "apps" / (app + ".hpp"), .include = {data / "include"}, .flags = {}, .cache = {}};
}

using morgana::test::scratch_folder;

inline std::string shown(morgana::driver::diagnostics const& all) {
  std::ostringstream out;
  for (auto const& one : all) print_text(out, one, data, morgana::driver::color_choice::never);
  return out.str();
}

inline std::string shown(morgana::driver::source_location const& where) {
  return fmt::format("{}:{}:{}+{}", where.file.lexically_relative(data).string(), where.line, where.column,
                     where.length);
}

inline std::string shown(morgana::driver::option_struct const& options) {
  auto text =
      fmt::format("options {} at {}, parameter {} `{}`{}\n", options.type.value, shown(options.type.where),
                  options.position, options.parameter, options.generic ? ", generic" : "");
  for (auto const& field : options.fields) {
    text += fmt::format("  --{} ({} at {})\n    type: {} = {}\n    default: {} = {}\n    says: {}\n",
                        field.flag, field.name.value, shown(field.name.where), field.declared_type,
                        field.type, field.default_source, field.default_value, field.documentation);
  }
  return text;
}

inline std::string shown(morgana::driver::outcome<morgana::driver::requirements> const& read) {
  using namespace morgana::driver;
  if (!read) return shown(read.error());
  auto text = fmt::format("start {} at {}, result {}\n", read->qualified_start, shown(read->start),
                          static_cast<int>(read->result));
  for (auto const& parameter : read->parameters) {
    text += fmt::format("parameter {}: {}\n", parameter.name,
                        parameter.what == start_parameter::kind::device ? "device" : "options");
  }
  for (auto const& device : read->devices) {
    text += fmt::format("device {} at {}: {} at {}\n", device.name.value, shown(device.name.where),
                        device.concept_name.value, shown(device.concept_name.where));
  }
  if (read->options) text += shown(*read->options);
  return text;
}

inline std::string shown(morgana::driver::outcome<std::vector<morgana::driver::option_struct>> const& read) {
  if (!read) return shown(read.error());
  std::string text;
  for (auto const& one : *read) text += shown(one);
  return text;
}

}  // namespace requirements_test

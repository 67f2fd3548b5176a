// Which log levels are on: one for all sources, and others for some. The text form is that of --log:
// "debug", "http:debug,net:warning,info". A source without a level of its own has the general one.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "morgana/core/log.hpp"
#include "morgana/core/options.hpp"

namespace morgana {

template <>
struct option_names<log_level> {
  static constexpr std::pair<std::string_view, log_level> values[] = {{"error", log_level::error},
                                                                      {"warning", log_level::warning},
                                                                      {"info", log_level::info},
                                                                      {"debug", log_level::debug}};
};

struct log_levels {
  /// Sources with a level of their own; more are refused.
  static constexpr std::size_t sources_max = 16;
  struct entry {
    std::string_view source;
    log_level level = log_level::info;
  };

  log_level general = log_level::info;
  std::array<entry, sources_max> entries{};
  std::size_t count = 0;

  [[nodiscard]] log_level of(std::string_view source) const;
};

template <>
struct option_parser<log_levels> {
  static constexpr std::string_view placeholder = "LEVELS";
  static result<log_levels> parse(std::string_view text);
  static void write_expected(text_writer& out);
};
void write_text(text_writer& out, log_levels const& value);

}  // namespace morgana

#include "morgana/core/log_levels.hpp"

namespace morgana {

log_level log_levels::of(std::string_view source) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (entries[i].source == source) return entries[i].level;
  }
  return general;
}

result<log_levels> option_parser<log_levels>::parse(std::string_view text) {
  log_levels levels;
  while (true) {
    auto const comma = text.find(',');
    auto const part = text.substr(0, comma);
    auto const colon = part.find(':');
    auto const level = option_parser<log_level>::parse(colon == part.npos ? part : part.substr(colon + 1));
    if (!level) return failure(error(level.error()));
    if (colon == part.npos) {
      levels.general = *level;
    } else if (colon == 0) {
      return failure(option_error::malformed);
    } else if (levels.count == log_levels::sources_max) {
      return failure(core_error::limit_reached, log_levels::sources_max);
    } else {
      levels.entries[levels.count++] = {.source = part.substr(0, colon), .level = *level};
    }
    if (comma == text.npos) return levels;
    text.remove_prefix(comma + 1);
  }
}

void option_parser<log_levels>::write_expected(text_writer& out) {
  out.put("error, warning, info, debug, or SOURCE:LEVEL, with commas between");
}

void write_text(text_writer& out, log_levels const& value) {
  for (std::size_t i = 0; i < value.count; ++i) {
    out.append("{}:{},", value.entries[i].source, to_string(value.entries[i].level));
  }
  out.put(to_string(value.general));
}

}  // namespace morgana

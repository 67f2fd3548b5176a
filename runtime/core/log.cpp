#include "morgana/core/log.hpp"

#include "morgana/core/log_levels.hpp"
#include "utf8.hpp"

namespace morgana {

std::string_view to_string(log_level level) {
  for (auto const& [name, value] : option_names<log_level>::values) {
    if (value == level) return name;
  }
  return "?";
}

void log_source::emit(log_level level, std::string_view format,
                      std::span<detail::text_argument const> arguments) const {
  [[clang::uninitialized]] fixed_text<log_sink::message_bytes_max> message;
  detail::append_formatted(message, format, arguments);
  constexpr std::string_view cut_mark = "...";
  std::string_view text = message.view();
  // What was cut may end within a code point, which is no mistake of the writer's.
  if (message.was_cut()) {
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
      auto const byte = static_cast<unsigned char>(text[text.size() - back]);
      if (byte < 0x80) break;
      if (byte >= 0xc0) {
        if (detail::code_point_length(text.substr(text.size() - back)) == 0) text.remove_suffix(back);
        break;
      }
    }
  }
  // Not cleared first, for all they hold is written.
  [[clang::uninitialized]] fixed_text<log_sink::message_bytes_max - cut_mark.size()> escaped;
  escaped.put_escaped(text);
  [[clang::uninitialized]] fixed_text<log_sink::message_bytes_max> whole;
  whole.put(escaped.view());
  if (message.was_cut() || escaped.was_cut()) whole.put(cut_mark);
  sink_->write({.time = sink_->now(), .level = level, .source = name_, .message = whole.view()});
}

}  // namespace morgana

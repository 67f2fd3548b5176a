#include "morgana/core/console_log.hpp"

#include "morgana/core/platform.hpp"

namespace morgana {

void console_log::write(log_record const& record) {
  // Longest line: time and level, a source name, the message. A source longer than that is cut.
  [[clang::uninitialized]] fixed_text<log_sink::message_bytes_max + 128> line;
  auto const milliseconds = static_cast<std::uint64_t>(record.time.time_since_epoch() / 1ms);
  line.put('[');
  line.put_unsigned(milliseconds / 1000, 10, 4);
  line.put('.');
  line.put_unsigned(milliseconds % 1000, 10, 3, '0');
  line.put("] ");
  fixed_text<64> source;
  source.put_escaped(record.source);
  line.append("{}: {}: {}\n", source.view(), to_string(record.level), record.message);
  platform::console_write(std::as_bytes(std::span(line.view())));
}

}  // namespace morgana

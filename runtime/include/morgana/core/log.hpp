// The log: records with a level and a source, formatted without allocation and written by one sink per
// guest, which the boot code owns. What a level costs when it is off: one comparison.
//
//   log_source log(here.log(), "http");
//   log.info("listening on {}", endpoint);        // {} count is checked by the compiler
//
// A line on the console reads `[   1.042] http: info: listening on 10.0.0.2:80`. The boot option --log sets
// levels: `--log=debug`, `--log=http:debug,net:warning,info`.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/text.hpp"
#include "morgana/core/time.hpp"

namespace morgana {

enum class log_level : std::uint8_t { error, warning, info, debug };
[[nodiscard]] std::string_view to_string(log_level level);

struct log_record {
  instant time;
  log_level level;
  std::string_view source;
  std::string_view message;  ///< control characters escaped, no newline at its end
};

/// Where records go. Implemented by the console sink of the boot code and by tests.
class log_sink {
 public:
  /// Longest message, bytes; longer ones are cut and end in "...".
  static constexpr std::size_t message_bytes_max = 512;

  virtual void write(log_record const& record) = 0;
  [[nodiscard]] virtual log_level level_of(std::string_view source) const = 0;
  [[nodiscard]] virtual instant now() const = 0;

 protected:
  ~log_sink() = default;
};

/// A part of the program that logs under one name. Cheap to copy.
class log_source {
 public:
  log_source(log_sink& sink, std::string_view name)
      : sink_(&sink), name_(name), level_(sink.level_of(name)) {}

  template <class... Values>
  void error(format_string<Values...> format, Values const&... values) const {
    say(log_level::error, format, values...);
  }
  template <class... Values>
  void warning(format_string<Values...> format, Values const&... values) const {
    say(log_level::warning, format, values...);
  }
  template <class... Values>
  void info(format_string<Values...> format, Values const&... values) const {
    say(log_level::info, format, values...);
  }
  template <class... Values>
  void debug(format_string<Values...> format, Values const&... values) const {
    say(log_level::debug, format, values...);
  }

  [[nodiscard]] bool is_on(log_level level) const { return level <= level_; }

 private:
  template <class... Values>
  void say(log_level level, format_string<Values...> format, Values const&... values) const {
    if (!is_on(level)) return;
    detail::text_argument const arguments[] = {detail::make_argument(values)..., {}};
    emit(level, format.text, std::span(arguments, sizeof...(Values)));
  }
  /// One for all, so that what a call adds to the image are its values.
  void emit(log_level level, std::string_view format, std::span<detail::text_argument const> arguments) const;

  log_sink* sink_;
  std::string_view name_;
  log_level level_;
};

}  // namespace morgana

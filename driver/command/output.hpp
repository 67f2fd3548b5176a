// What the command says: diagnostics, progress, results; for people or, with `--message-format json`, one
// JSON object a line on stdout.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "morgana/driver/diagnostic.hpp"
#include "morgana/driver/package.hpp"

namespace morgana::driver {

namespace exit_code {
inline constexpr int done = 0;
inline constexpr int diagnosed = 1;
inline constexpr int usage = 2;
inline constexpr int run_failed = 125;
}  // namespace exit_code

class output {
 public:
  enum class format { text, json };

  /// `color` is "auto", "always" or "never"; auto looks at NO_COLOR and the terminal.
  void set(format how, std::string_view color, bool verbose);

  [[nodiscard]] bool is_json() const { return format_ == format::json; }
  [[nodiscard]] bool is_verbose() const { return verbose_; }
  /// For what goes to stderr.
  [[nodiscard]] color_choice color() const { return color_; }

  /// Prints each; gives exit_code::diagnosed.
  int report(diagnostics const& all);
  int report(diagnostic const& one) { return report(diagnostics{one}); }

  /// Something the user should know, beside the result: stderr.
  void say(std::string_view text);
  /// Only with --verbose.
  void detail(std::string_view text);
  /// The result: text on stdout, or `json` with its "kind".
  void result(std::string_view text, nlohmann::ordered_json const& json);

  /// A tool's own words, as they are: stderr.
  void tool(std::string_view text);

  /// On a terminal one line that changes; with --verbose a line each; else nothing.
  void step(std::string_view what, std::size_t done, std::size_t total);
  /// Removes the changing line.
  void clear();
  [[nodiscard]] progress steps() {
    return [this](std::string_view what, std::size_t done, std::size_t total) { step(what, done, total); };
  }

 private:
  void line(nlohmann::ordered_json const& json);

  format format_ = format::text;
  color_choice color_ = color_choice::never;
  bool verbose_ = false;
  bool terminal_ = false;
  bool shown_ = false;
  std::string last_;
};

}  // namespace morgana::driver

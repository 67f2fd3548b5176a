// What the levels are written with: building a guest once, running it, and looking at what it did.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/driver/conformance.hpp"
#include "morgana/driver/machine.hpp"

namespace morgana::driver::conformance {

/// Why a level failed. No value: it passed.
using verdict = std::optional<std::string>;

/// What the kit does while a guest runs.
struct run_request {
  std::vector<std::string> arguments = {};
  std::uint64_t memory_bytes = 0;
  /// Once the console holds this line, `then` is sent.
  std::string_view upon = {};
  enum class action { nothing, stop, kill } then = action::nothing;
  std::string_view mark_begin = {}, mark_end = {};  ///< lines whose arrival is timed
};

/// What a guest did.
struct run_record {
  std::string console;
  exit_event exit;
  machine::clock::duration took{};  ///< from before its start to its exit event
  /// Between the arrivals of the marked lines; none when one did not come.
  std::optional<machine::clock::duration> between_marks = std::nullopt;
  std::vector<std::string> capabilities = {};
};

/// Largest console the kit reads, bytes.
inline constexpr std::size_t console_bytes_max = 4u << 20;

class kit {
 public:
  explicit kit(conformance_input const& input) : input_(&input) {}

  /// Builds the guest if that was not done and runs it to its end. The error says why that was impossible.
  [[nodiscard]] std::expected<run_record, std::string> run(std::string const& guest,
                                                           run_request const& request);

  /// The console of the last run, for the report.
  [[nodiscard]] std::string const& last_console() const { return last_console_; }

 private:
  [[nodiscard]] std::expected<std::filesystem::path, std::string> image_of(std::string const& guest);

  conformance_input const* input_;
  std::map<std::string, std::expected<std::filesystem::path, std::string>> images_;
  std::string last_console_;
};

/// What follows `kit:NAME ` on the first line that begins so.
[[nodiscard]] std::optional<std::string_view> field(std::string_view console, std::string_view name);
[[nodiscard]] std::optional<std::int64_t> number_field(std::string_view console, std::string_view name);
/// Bytes written as lower-case hexadecimal.
[[nodiscard]] std::optional<std::string> bytes_field(std::string_view console, std::string_view name);

/// The guest must have ended with this status by itself.
[[nodiscard]] verdict expect_status(run_record const& record, int status, std::string_view when);

struct level {
  level_declaration says;
  verdict (*check)(kit&) = nullptr;
};
/// Levels that exist and levels to come.
[[nodiscard]] std::vector<level> const& levels();

}  // namespace morgana::driver::conformance

#include "conformance/kit.hpp"

#include <fmt/format.h>

#include <charconv>

namespace morgana::driver::conformance {
namespace {

std::string first_message(diagnostics const& all) {
  if (all.empty()) return "no reason was given";
  auto text = all.front().message;
  for (auto const& note : all.front().notes) text += "; " + note.message;
  return text;
}

/// True when `text` stands in `console` as the beginning of a line.
bool holds_line(std::string_view console, std::string_view text) {
  for (auto at = console.find(text); at != std::string_view::npos; at = console.find(text, at + 1)) {
    if (at == 0 || console[at - 1] == '\n') return true;
  }
  return false;
}

std::string_view name_of(machine_protocol::exit_reason reason) {
  return machine_protocol::to_string(reason);
}

}  // namespace

std::expected<std::filesystem::path, std::string> kit::image_of(std::string const& guest) {
  auto found = images_.find(guest);
  if (found == images_.end()) {
    auto built = input_->build(input_->guests / guest, *input_->on);
    std::expected<std::filesystem::path, std::string> image;
    if (built) {
      image = std::move(*built);
    } else {
      image = std::unexpected(
          fmt::format("the guest `{}` cannot be built: {}", guest, first_message(built.error())));
    }
    found = images_.emplace(guest, std::move(image)).first;
  }
  return found->second;
}

std::expected<run_record, std::string> kit::run(std::string const& guest, run_request const& request) {
  last_console_.clear();
  auto const image = image_of(guest);
  if (!image) return std::unexpected(image.error());

  auto const begin = machine::clock::now();
  auto const deadline = begin + input_->run_deadline;
  machine_configuration what{.image = *image, .name = guest, .arguments = request.arguments};
  what.memory_bytes = request.memory_bytes;
  auto started = machine::start(*input_->on, what, deadline);
  if (!started) {
    return std::unexpected(
        fmt::format("the guest `{}` cannot be started: {}", guest, first_message(started.error())));
  }
  auto& running = **started;
  run_record record;
  record.capabilities = running.capabilities();
  std::optional<machine::clock::time_point> marked_begin, marked_end;
  auto pending = request.then;
  std::string error_said;
  for (;;) {
    auto event = running.next(deadline);
    last_console_ = record.console;
    if (!event) {
      return std::unexpected(fmt::format("the guest `{}` was lost: {}", guest, first_message(event.error())));
    }
    if (!*event) {
      return std::unexpected(
          fmt::format("the guest `{}` did not end within {} s", guest,
                      std::chrono::ceil<std::chrono::seconds>(input_->run_deadline).count()));
    }
    if (auto const* error = std::get_if<error_event>(&**event)) error_said = error->message;
    if (auto* exit = std::get_if<exit_event>(&**event)) {
      record.exit = std::move(*exit);
      break;
    }
    auto const* console = std::get_if<console_event>(&**event);
    if (console == nullptr) continue;
    record.console += console->data;
    last_console_ = record.console;
    if (record.console.size() > console_bytes_max) {
      return std::unexpected(
          fmt::format("the guest `{}` printed more than {} bytes", guest, console_bytes_max));
    }
    auto const now = machine::clock::now();
    if (!marked_begin && !request.mark_begin.empty() && holds_line(record.console, request.mark_begin)) {
      marked_begin = now;
    }
    if (!marked_end && !request.mark_end.empty() && holds_line(record.console, request.mark_end))
      marked_end = now;
    if (pending != run_request::action::nothing && holds_line(record.console, request.upon)) {
      auto const sent = pending == run_request::action::stop ? running.stop() : running.kill();
      if (!sent) return std::unexpected(first_message(sent.error()));
      pending = run_request::action::nothing;
    }
  }
  record.took = machine::clock::now() - begin;
  if (marked_begin && marked_end) record.between_marks = *marked_end - *marked_begin;
  if (record.exit.reason == machine_protocol::exit_reason::failed) {
    return std::unexpected(fmt::format("the runner could not run the guest `{}`: {}", guest,
                                       error_said.empty() ? "it did not say why" : error_said));
  }
  return record;
}

std::optional<std::string_view> field(std::string_view console, std::string_view name) {
  auto const prefix = fmt::format("kit:{}", name);
  while (!console.empty()) {
    auto const end = console.find('\n');
    auto line = console.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == prefix) return std::string_view();
    if (line.starts_with(prefix) && line[prefix.size()] == ' ') return line.substr(prefix.size() + 1);
    if (end == std::string_view::npos) break;
    console.remove_prefix(end + 1);
  }
  return std::nullopt;
}

std::optional<std::int64_t> number_field(std::string_view console, std::string_view name) {
  auto const text = field(console, name);
  std::int64_t value = 0;
  if (!text) return std::nullopt;
  auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

std::optional<std::string> bytes_field(std::string_view console, std::string_view name) {
  auto const text = field(console, name);
  if (!text || text->size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text->size(); i += 2) {
    unsigned value = 0;
    auto const* const from = text->data() + i;
    auto const [end, error] = std::from_chars(from, from + 2, value, 16);
    if (error != std::errc() || end != from + 2) return std::nullopt;
    out.push_back(static_cast<char>(value));
  }
  return out;
}

verdict expect_status(run_record const& record, int status, std::string_view when) {
  if (record.exit.status == status && record.exit.reason != machine_protocol::exit_reason::killed)
    return std::nullopt;
  auto signal = record.exit.signal ? fmt::format(", signal {}", *record.exit.signal) : std::string();
  return fmt::format("{}: status {} was expected, it ended with {} ({}{})", when, status, record.exit.status,
                     name_of(record.exit.reason), signal);
}

}  // namespace morgana::driver::conformance

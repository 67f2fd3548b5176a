// Drives a connection without I/O: bytes in, bytes out, in any split.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>       // Catch2 uses std::nothrow without it
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "morgana/http/connection.hpp"

namespace morgana::http::test {

inline constexpr instant start{std::chrono::hours(1)};

using handler_function = std::function<void(request const&, response_writer&)>;

/// What a peer sees: everything that was written, and whether the connection ended.
struct peer {
  /// `kept`: of a connection that has ended.
  explicit peer(handler_function answers = {}, limits const& with = {}, connection_memory* kept = nullptr)
      : handler(std::move(answers)) {
    shared.limits = with;
    if (!handler) {
      handler = [](request const& asked, response_writer& response) {
        response.reply(status::ok, "text/plain", asked.path());
      };
    }
    if (kept == nullptr) kept = &memory.emplace(shared.limits);
    state.emplace(shared, *kept, now);
  }

  /// Sends all of `bytes`, at most `step` at a time.
  void send(std::string_view bytes, std::size_t step = SIZE_MAX) {
    while (!bytes.empty() && run()) {
      auto const room = state->input_room();
      REQUIRE(!room.empty());
      auto const count = std::min({bytes.size(), room.size(), step});
      std::memcpy(room.data(), bytes.data(), count);
      state->received(count, now);
      bytes.remove_prefix(count);
    }
    run();
  }

  void end() {
    if (!run()) return;
    state->input_ended();
    run();
  }

  /// Runs until it reads (true) or is closed.
  bool run() {
    for (int turns = 0; turns < 100'000; ++turns) {
      switch (is_short && answers_again() ? connection::action::write : state->next(now)) {
        case connection::action::read: return true;
        case connection::action::write:
          REQUIRE(!state->output().empty());
          if (auto const slices = state->output_slices(); takes_slices && !slices.empty()) {
            for (auto& one : slices) {
              output.append(reinterpret_cast<char const*>(one.bytes().data()), one.size());
              held.push_back(std::move(one));
            }
            state->written();
            break;
          }
          for (auto const part : state->output()) {
            output.append(reinterpret_cast<char const*>(part.data()), part.size());
          }
          state->written();
          break;
        case connection::action::handle:
          handler(state->current(), state->response());
          state->handled();
          break;
        case connection::action::half_close:
          half_closed = true;
          state->half_closed(now);
          break;
        case connection::action::close: closed = true; return false;
      }
    }
    FAIL("the connection does not come to rest");
    return false;
  }

  /// As a server of a site does it.
  bool answers_again() {
    auto* const before = state->repeated_answer();
    if (before == nullptr) return false;
    state->answer_again(*before);
    ++answered_again;
    return true;
  }

  /// Reads the whole body without waiting; what has not arrived is missing.
  static result<std::string> body_of(connection& state) {
    std::string body;
    for (;;) {
      std::span<std::byte const> data;
      auto step = state.step_body(data);
      if (!step) return failure(std::move(step.error()));
      if (*step != connection::body_step::data) return body;
      body.append(reinterpret_cast<char const*>(data.data()), data.size());
    }
  }

  [[nodiscard]] statistics const& counts() const { return shared.statistics; }

  server_context shared;
  handler_function handler;
  instant now = start;
  std::optional<connection_memory> memory;
  std::optional<connection> state;
  std::string output;
  bool closed = false;
  bool half_closed = false;
  bool takes_slices = false;
  bool is_short = false;          ///< takes the short way of requests that repeat the one before them
  std::size_t answered_again = 0;
  std::vector<net::slice> held;   ///< what it took, and its peer has not acknowledged
};

/// The status codes of a stream of responses without content beyond what Content-Length says.
inline std::string statuses(std::string_view output) {
  std::string found;
  for (auto at = output.find("HTTP/1.1 "); at != std::string_view::npos; at = output.find("HTTP/1.1 ", at + 1)) {
    if (!found.empty()) found += ' ';
    found += output.substr(at + 9, 3);
  }
  return found;
}

}  // namespace morgana::http::test

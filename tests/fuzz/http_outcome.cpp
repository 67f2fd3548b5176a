#include "http_outcome.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "morgana/http/conditions.hpp"
#include "morgana/http/connection.hpp"
#include "morgana/http/features.hpp"

using namespace morgana;
using namespace morgana::http;

#ifdef MORGANA_WITHOUT_PARSER
bool const morgana::http::features::parser = false;
namespace without_parser {
#else
namespace with_parser {
#endif
namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

constexpr instant start{std::chrono::seconds(1)};

}  // namespace

/// What comes of `wire`, of which the connection gets `step` bytes at most at a time.
http_outcome http_outcome_of(std::string_view wire, std::size_t step) {
  server_context shared;
  shared.limits.request_line_bytes = 256;
  shared.limits.headers_bytes = 512;
  shared.limits.header_fields = 16;
  shared.limits.body_bytes = 512;
  shared.limits.body_room_bytes = 64;
  shared.limits.drained_bytes = 256;
  shared.limits.lingered_bytes = 256;
  connection_memory memory(shared.limits);
  connection state(shared, memory, start);
  http_outcome all;
  std::size_t quiet = 0;
  bool ended = false;
  std::string output;
  for (;;) {
    expect(++quiet < 10'000);
    switch (state.next(start)) {
      case connection::action::read: {
        auto const room = state.input_room();
        expect(!room.empty());
        if (wire.empty()) {
          expect(!ended);
          ended = true;
          state.input_ended();
          break;
        }
        auto const count = std::min({room.size(), step, wire.size()});
        std::memcpy(room.data(), wire.data(), count);
        wire.remove_prefix(count);
        state.received(count, start);
        quiet = 0;
        break;
      }
      case connection::action::write:
        expect(!state.output().empty());
        for (auto const part : state.output()) output.append(reinterpret_cast<char const*>(part.data()), part.size());
        state.written();
        break;
      case connection::action::handle: {
        auto const& asked = state.current();
        std::string text(asked.method_text());
        text.append(" ").append(asked.target()).append(" ").append(asked.host());
        for (auto const& field : asked.headers()) text.append("\n").append(field.name).append(":").append(field.value);
        expect(!asked.path().empty() && (asked.path().front() == '/' || asked.path() == "*"));
        expect(asked.headers().size() <= shared.limits.header_fields);
        expect(text.find('\r') == std::string::npos && text.find('\0') == std::string::npos);
        all.requests.push_back(std::move(text));
        char decoded[256];
        static_cast<void>(decode_path(asked.path(), decoded));
        auto const decided = evaluate(asked, {.size_bytes = 100, .entity_tag = "\"a\"", .modified_unix_seconds = 784'111'777});
        expect(decided.range.first + decided.range.size <= 100);
        state.response().reply(status::ok, "text/plain", "x");
        state.handled();
        break;
      }
      case connection::action::half_close: state.half_closed(start); break;
      case connection::action::close:
        if (auto const last = output.rfind("HTTP/1.1 "); last != std::string::npos) all.last_status = output.substr(last + 9, 3);
        return all;
    }
  }
}

}

// Fuzzes the HTTP connection. The first byte says how the rest is split. However it is split, the same requests
// reach the handler (one split may end the connection earlier: `Expect` depends on what has arrived), every
// view lies where it may, and the connection comes to rest. A request that repeats the one before it has the same answer,
// and leaves the same behind, when it takes the short way (connection::repeated_answer).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "morgana/http/conditions.hpp"
#include "morgana/http/connection.hpp"

namespace {

using namespace morgana;
using namespace morgana::http;

void expect(bool holds) {
  if (!holds) std::abort();
}

constexpr instant start{std::chrono::seconds(1)};
constexpr std::string_view expect_name = "expect";

limits small_limits() {
  limits made;
  made.request_line_bytes = 256;
  made.headers_bytes = 512;
  made.header_fields = 16;
  made.body_bytes = 512;
  made.body_room_bytes = 64;
  made.drained_bytes = 256;
  made.lingered_bytes = 256;
  return made;
}

enum class way : std::uint8_t { ordinary, shortest };

struct outcome {
  std::vector<std::string> seen;
  std::string written;
  statistics counts;
};

std::string text_of(request const& asked) {
  std::string text(asked.method_text());
  text.append(" ").append(asked.target()).append(" ").append(asked.host());
  for (auto const& field : asked.headers()) text.append("\n").append(field.name).append(":").append(field.value);
  return text;
}

outcome outcome_of(std::string_view wire, std::size_t step, way takes, connection_memory* kept = nullptr) {
  static prepared_answer page({status_line(status::ok), "Content-Length: 4\r\n"}, std::as_bytes(std::span("page", 4)));
  server_context shared;
  shared.limits = small_limits();
  std::optional<connection_memory> own;
  if (kept == nullptr) kept = &own.emplace(shared.limits);
  connection state(shared, *kept, start);
  std::vector<std::string> seen;
  std::string written;
  std::size_t quiet = 0;
  bool ended = false;
  for (;;) {
    expect(++quiet < 10'000);
    auto* const before = takes == way::shortest ? state.repeated_answer() : nullptr;
    if (before != nullptr) {
      seen.push_back(text_of(state.current()));
      state.answer_again(*before);
    }
    switch (before != nullptr ? connection::action::write : state.next(start)) {
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
        for (auto const part : state.output()) written.append(reinterpret_cast<char const*>(part.data()), part.size());
        state.written();
        break;
      case connection::action::handle: {
        auto const& asked = state.current();
        auto text = text_of(asked);
        expect(!asked.path().empty() && (asked.path().front() == '/' || asked.path() == "*"));
        expect(asked.headers().size() <= shared.limits.header_fields);
        expect(text.find('\r') == std::string::npos && text.find('\0') == std::string::npos);
        seen.push_back(std::move(text));
        char decoded[256];
        static_cast<void>(decode_path(asked.path(), decoded));
        auto const decided = evaluate(asked, {.size_bytes = 100, .entity_tag = "\"a\"", .modified_unix_seconds = 784'111'777});
        expect(decided.range.first + decided.range.size <= 100);
        if (asked.path().size() % 2 == 0) {
          state.response().reply(status::ok, "text/plain", asked.path());
        } else {
          state.response().reply_prepared(page);
        }
        state.handled();
        break;
      }
      case connection::action::half_close: state.half_closed(start); break;
      case connection::action::close: return {std::move(seen), std::move(written), shared.statistics};
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const wire(reinterpret_cast<char const*>(data) + 1, size - 1);
  auto const step = data[0] % 32u + 1u;
  auto const [whole, whole_written, whole_counts] = outcome_of(wire, SIZE_MAX, way::ordinary);
  auto const [parts, written, counts] = outcome_of(wire, step, way::ordinary);
  // Twice in the same memory, as connections come one after the other.
  connection_memory memory(small_limits());
  for (int i = 0; i < 2; ++i) {
    auto const quick = outcome_of(wire, step, way::shortest, &memory);
    expect(quick.seen == parts && quick.written == written && std::memcmp(&quick.counts, &counts, sizeof counts) == 0);
  }
  // A head that is there as a whole is read by a way of its own (plain_head.cpp), which takes nothing that the other refuses.
  auto const has_expect = std::search(wire.begin(), wire.end(), expect_name.begin(), expect_name.end(), [](char a, char b) {
                            return (a | 0x20) == b;
                          }) != wire.end();
  expect(has_expect || whole.size() == parts.size());
  auto const common = std::min(whole.size(), parts.size());
  expect(std::equal(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(common), parts.begin()));
  return 0;
}

// Fuzzes the HTTP connection. The first byte says how the rest is split. However it is split, the same requests
// reach the handler (one split may end the connection earlier: `Expect` depends on what has arrived), every
// view lies where it may, and the connection comes to rest.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

std::vector<std::string> requests_of(std::string_view wire, std::size_t step) {
  server_context shared;
  shared.limits.request_line_bytes = 256;
  shared.limits.headers_bytes = 512;
  shared.limits.header_fields = 16;
  shared.limits.body_bytes = 512;
  shared.limits.body_room_bytes = 64;
  shared.limits.drained_bytes = 256;
  shared.limits.lingered_bytes = 256;
  connection state(shared, start);
  std::vector<std::string> seen;
  std::size_t quiet = 0;
  bool ended = false;
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
        seen.push_back(std::move(text));
        char decoded[256];
        static_cast<void>(decode_path(asked.path(), decoded));
        auto const decided = evaluate(asked, {.size_bytes = 100, .entity_tag = "\"a\"", .modified_unix_seconds = 784'111'777});
        expect(decided.range.first + decided.range.size <= 100);
        state.response().reply(status::ok, "text/plain", asked.path());
        state.handled();
        break;
      }
      case connection::action::half_close: state.half_closed(start); break;
      case connection::action::close: return seen;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const wire(reinterpret_cast<char const*>(data) + 1, size - 1);
  auto const whole = requests_of(wire, SIZE_MAX);
  auto const parts = requests_of(wire, data[0] % 32u + 1u);
  // A head that is there as a whole is read by a way of its own (plain_head.cpp), which takes nothing that the other refuses.
  auto const has_expect = std::search(wire.begin(), wire.end(), expect_name.begin(), expect_name.end(), [](char a, char b) {
                            return (a | 0x20) == b;
                          }) != wire.end();
  expect(has_expect || whole.size() == parts.size());
  auto const common = std::min(whole.size(), parts.size());
  expect(std::equal(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(common), parts.begin()));
  return 0;
}

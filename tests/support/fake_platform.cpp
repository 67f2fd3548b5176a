#include "fake_platform.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace morgana::test {

fake_state& fake() {
  static fake_state state;
  return state;
}

void memory_log::write(log_record const& record) {
  text += to_string(record.level);
  text += ' ';
  text += record.source;
  text += ": ";
  text += record.message;
  text += '\n';
}

void world::advance(duration length) {
  auto const until = fake().now + length;
  for (std::size_t i = 0; i < batches_max; ++i) {
    auto const next = executor_.run_ready(fake().now);
    if (next > until) break;
    fake().now = std::max(fake().now, next);
  }
  fake().now = until;
  (void)executor_.run_ready(until);
}

int run_session(boot_session& session, std::vector<scheduled> at) {
  for (std::size_t batch = 0; batch < world::batches_max; ++batch) {
    auto next = session.run_ready(fake().now);
    if (session.is_finished()) return session.status();
    for (auto const& one : at) next = std::min(next, one.when);
    if (next == never) return -1;
    fake().now = std::max(fake().now, next);
    std::erase_if(at, [](scheduled const& one) {
      if (one.when > fake().now) return false;
      one.what();
      return true;
    });
  }
  return -1;
}

}  // namespace morgana::test

namespace morgana::platform {

using test::fake;

void console_write(std::span<std::byte const> bytes) noexcept {
  fake().console.append(reinterpret_cast<char const*>(bytes.data()), bytes.size());
}
std::uint64_t console_dropped_bytes() noexcept {
  return 0;
}
std::size_t console_read(std::span<std::byte> into) noexcept {
  auto& input = fake().input;
  auto const count = std::min(into.size(), input.size());
  std::copy_n(input.begin(), count, into.begin());
  input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}
bool console_input_ended() noexcept {
  return fake().input_ended && fake().input.empty();
}

instant monotonic_now() noexcept {
  return fake().now;
}
wall_time wall_now() noexcept {
  return fake().wall_at_boot + fake().now.time_since_epoch();
}
bool wall_clock_is_set() noexcept {
  return fake().wall_is_set;
}
void wait_until(instant deadline) noexcept {
  if (deadline != never) fake().now = std::max(fake().now, deadline);
}

std::span<std::string_view const> arguments() noexcept {
  return fake().arguments;
}
bool stop_requested() noexcept {
  return fake().stop_requested;
}
void power_off(int status) noexcept {
  _exit(status);
}

// Tests of a crash run in a forked child; what is said goes to standard error for the others.
void crash(crash_reason reason, std::string_view message) noexcept {
  auto const say = [](std::string_view text) { (void)!::write(2, text.data(), text.size()); };
  say("fake platform: crash: ");
  say(message);
  say("\n");
  _exit(reason == crash_reason::out_of_memory ? exit_status::out_of_memory : exit_status::crashed);
}

memory_usage memory() noexcept {
  return {.limit_bytes = fake().memory_limit_bytes, .used_bytes = 0, .peak_bytes = 0};
}

std::span<entropy_source_descriptor const> entropy_sources() noexcept {
  return fake().entropy;
}
std::span<std::byte const, 32> boot_secret() noexcept {
  static constexpr std::array<std::byte, 32> secret{std::byte{7}};
  return secret;
}
std::uint64_t resume_generation() noexcept {
  return fake().resume_generation;
}

}  // namespace morgana::platform

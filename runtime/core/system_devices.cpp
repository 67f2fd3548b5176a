#include "morgana/core/system_devices.hpp"

#include "morgana/core/event.hpp"
#include "morgana/core/platform.hpp"

namespace morgana {

task<result<system_console>> system_console::connect(context&) {
  co_return system_console();
}

void system_console::write(std::string_view text) {
  platform::console_write(std::as_bytes(std::span(text)));
}

task<result<std::size_t>> system_console::read(std::span<std::byte> into, instant deadline) {
  context& here = co_await this_context();
  for (;;) {
    if (auto const count = platform::console_read(into); count != 0 || into.empty()) co_return count;
    if (platform::console_input_ended()) co_return std::size_t{0};
    // The session pulses this event whenever the platform came back from waiting.
    event* const input = here.events().input;
    if (input == nullptr) co_return failure(core_error::not_supported);
    if (auto pulsed = co_await input->wait(deadline); !pulsed) co_return failure(std::move(pulsed.error()));
  }
}

task<result<system_monotonic_clock>> system_monotonic_clock::connect(context&) {
  co_return system_monotonic_clock();
}
instant system_monotonic_clock::now() const {
  return platform::monotonic_now();
}

wall_time system_wall_clock::now() const {
  return platform::wall_now();
}
bool system_wall_clock::is_set() const {
  return platform::wall_clock_is_set();
}

task<result<system_timer>> system_timer::connect(context&) {
  co_return system_timer();
}

namespace {

platform::entropy_source_descriptor const* host_generator() {
  for (auto const& source : platform::entropy_sources()) {
    if (source.kind == platform::entropy_kind::os_generator) return &source;
  }
  return nullptr;
}

}  // namespace

task<result<platform_random>> platform_random::connect(context&) {
  co_return platform_random();
}

task<result<void>> platform_random::seeded(instant) {
  if (host_generator() == nullptr) co_return failure(core_error::not_seeded);
  co_return {};
}

result<void> platform_random::fill(std::span<std::byte> into) {
  auto const* const source = host_generator();
  if (source == nullptr) return failure(core_error::not_seeded);
  while (!into.empty()) {
    auto const count = source->sample(into);
    // A seeded generator of a host always has more; one that says it has none is not to be trusted.
    if (count == 0 || count > into.size()) return failure(core_error::not_seeded);
    into = into.subspan(count);
  }
  return {};
}

}  // namespace morgana

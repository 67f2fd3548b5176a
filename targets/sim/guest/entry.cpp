// The entry of a simulated host: what the dynamic loader and a C library's start-up do elsewhere, then the
// loop that every target has.
#include <cstring>

#include "host.hpp"
#include "morgana/core/boot.hpp"
#include "morgana/core/platform.hpp"

using constructor = void (*)(int, char**, char**);

// From the linker.
extern "C" {
extern constructor const __init_array_start[] __attribute__((visibility("hidden")));
extern constructor const __init_array_end[] __attribute__((visibility("hidden")));
// guest/libc.S
extern void const* morgana_sim_libc[] __attribute__((visibility("hidden")));
extern std::size_t const morgana_sim_libc_count __attribute__((visibility("hidden")));
}

extern "C" [[gnu::visibility("default"), gnu::used]] int morgana_sim_entry(
    morgana_sim_platform const* simulator, std::uint32_t version) {
  using namespace morgana;
  if (version != MORGANA_SIM_PLATFORM_VERSION || simulator->libc_count != morgana_sim_libc_count) {
    return MORGANA_SIM_PLATFORM_VERSION;
  }
  // By hand: memcpy itself is behind this table.
  for (std::size_t i = 0; i < morgana_sim_libc_count; ++i) {
    auto const volatile* const from = simulator->libc + i;
    morgana_sim_libc[i] = *from;
  }
  sim::simulator = simulator;
  sim::start_heap(simulator->heap, simulator->heap_bytes, simulator->usage);
  for (auto const* one = __init_array_start; one != __init_array_end; ++one) (*one)(0, nullptr, nullptr);

  boot_session session(this_application, platform::arguments());
  for (;;) {
    auto const next = session.run_ready(platform::monotonic_now());
    if (session.is_finished()) platform::power_off(session.status());
    platform::wait_until(next);
  }
}

// What Xen gives a guest: events, time, a timer, the shared page. Nothing of it on a bare machine.
#pragma once

#include <cstdint>

#include "../common/interface.hpp"

namespace morgana::xen {

namespace hypervisor {

/// Maps the shared page, has events interrupt, binds the timer. platform::crash() when Xen refuses.
void start();

/// Has a virtual interrupt of Xen's wake the guest; gives its port. platform::crash() when Xen refuses.
event_port bind(std::uint32_t virtual_interrupt);
void send_event(event_port port);
/// Lets a port's events interrupt.
void unmask(event_port port);
/// What stands for a port among the events that were taken: others may share it.
[[nodiscard]] constexpr std::uint64_t event_of(event_port port) {
  return std::uint64_t{1} << port % 64;
}
/// Whether there may be events that were not taken.
[[nodiscard]] bool has_events();
/// Takes the events that came: those that come from here on interrupt. The event_of() each of their ports; 0 when there
/// were none.
[[nodiscard]] std::uint64_t take_events();
/// What is to be done with drivers around a suspend. True: it is done; of `quiesce` false as long as they are not quiet.
enum class suspend_step : std::uint8_t { quiesce, cancelled, elsewhere };
[[gnu::visibility("hidden")]] extern bool (*on_suspend)(suspend_step);
/// Called when events may have come: who drives devices. Null where nobody does.
[[gnu::visibility("hidden")]] extern void (*on_events)();
/// Lets others run.
void yield();

/// Xen's time, which goes on from before the guest's start.
[[nodiscard]] std::uint64_t time_ns();
/// Civil time at Xen's time 0.
[[nodiscard]] std::int64_t wall_base_ns();
/// Interrupts at that time of Xen's, at once when it has passed, and at no other.
void set_timer(std::uint64_t deadline_ns);
/// The event_of() the port by which it does.
[[nodiscard]] std::uint64_t timer_event();

[[noreturn]] void end(shutdown::reason why);

/// Returns when the guest runs again. True: as another domain, whose shared page and interrupts are in place, and no other
/// port; false: as if nothing had been.
[[nodiscard]] bool suspend();
/// A port of Xen's tools, as it is now.
[[nodiscard]] event_port port_of(hvm_parameter::name which);

}  // namespace hypervisor

}  // namespace morgana::xen

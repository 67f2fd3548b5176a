// Waiting: the processor halts until the timer, a serial port or an event of Xen's interrupts. Interrupts are
// off everywhere else.
#include <algorithm>

#include "hypervisor.hpp"
#include "machine.hpp"
#include "morgana/core/platform.hpp"
#include "processor.hpp"
#include "vectors.hpp"

namespace morgana::xen {

/// The two 8259 controllers: vectors from 0x20 on, ends of interrupts by themselves, serial ports only.
void start_interrupts() {
  using processor::out8;
  constexpr std::uint16_t first = 0x20, second = 0xa0;
  out8(first, 0x11), out8(second, 0x11);
  out8(first + 1, line_vector), out8(second + 1, line_vector + 8);
  out8(first + 1, 4), out8(second + 1, 2);
  out8(first + 1, 3), out8(second + 1, 3);
  out8(first + 1, static_cast<std::uint8_t>(~(1u << 3 | 1u << 4))), out8(second + 1, 0xff);
}

namespace {

/// An interrupt after `sti` is taken no sooner than in `hlt`, which it ends. Its handler keeps no register.
void halt() {
  asm volatile("sti\n\thlt\n\tcli"
               :
               :
               : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

/// When Xen interrupts, as far as it has not yet; `never`: it does not.
constinit instant interrupts_at = never;

/// First the events are taken, then what they are about is looked at: one that comes later interrupts. False
/// when none had come.
bool deliver_events() {
  auto const events = hypervisor::take_events();
  if (events == 0) return false;
  if ((events & hypervisor::timer_event()) != 0) interrupts_at = never;
  if ((events & xen_control::event()) != 0) xen_control::poll();
  if (hypervisor::on_events != nullptr) hypervisor::on_events();
  return true;
}

/// Xen passes no interrupts of the port on that the runner asks for an end by.
constexpr duration control_interval = std::chrono::milliseconds(50);

/// An interrupt that comes sooner than it is wanted stays: to wake once for nothing costs less than a hypercall each time.
void set_timer(instant deadline) {
  if (deadline >= interrupts_at) return;
  interrupts_at = deadline;
  hypervisor::set_timer(xen_deadline(deadline.time_since_epoch().count()));
}

void halt_under_xen(instant deadline) {
  if (machine.is_initial_domain) {
    control::poll();
    if (control::stop_requested()) return;
    deadline = std::min(deadline, platform::monotonic_now() + control_interval);
  }
  if (xen_control::suspend_is_wanted() && xen_control::suspend_if_quiet()) {
    interrupts_at = never;
    return;
  }
  // What came may have made a coroutine ready, which `deadline` knows nothing of.
  if ((hypervisor::has_events() && deliver_events()) || xen_control::stop_requested()) return;
  // The clock is not asked again: when the deadline has passed since, Xen interrupts at once.
  if (deadline <= last_time()) return;
  set_timer(deadline);
  halt();
  deliver_events();
}

[[gnu::noinline]] void halt_without_xen(instant deadline) {
  control::poll();
  if (deadline <= platform::monotonic_now()) return;
  if (deadline == never) {
    timer::disarm();
  } else {
    timer::arm((deadline - platform::monotonic_now()).count());
  }
  halt();
  if (morgana_timer_fired) {
    morgana_timer_fired = false;
    timer::end_of_interrupt();
  }
  timer::disarm();
  control::poll();
}

}  // namespace
}  // namespace morgana::xen

void morgana::platform::wait_until(instant deadline) noexcept {
  xen::machine.is_xen ? xen::halt_under_xen(deadline) : xen::halt_without_xen(deadline);
}

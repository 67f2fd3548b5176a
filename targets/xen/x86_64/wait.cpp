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

/// First the events are taken, then what they are about is looked at: one that comes later interrupts. False
/// when none had come.
bool deliver_events() {
  if (!hypervisor::take_events()) return false;
  xen_control::poll();
  if (hypervisor::on_events != nullptr) hypervisor::on_events();
  return true;
}

/// Xen passes no interrupts of the port on that the runner asks for an end by.
constexpr duration control_interval = std::chrono::milliseconds(50);

/// Xen's timer may be early by some tens of microseconds; so near, it counts as spent.
constexpr duration timer_slack = std::chrono::milliseconds(1);
/// When Xen interrupts; the past: it does not.
constinit instant interrupts_at = instant::min();

/// An interrupt that comes sooner than it is wanted stays: to wake once for nothing costs less than a hypercall each time.
void set_timer(instant deadline, instant now) {
  if (deadline >= interrupts_at && interrupts_at > after(now, timer_slack)) return;
  interrupts_at = deadline == never ? instant::min() : deadline;
  if (deadline != never) hypervisor::set_timer(xen_deadline(deadline.time_since_epoch().count()));
}

void halt_under_xen(instant deadline) {
  if (machine.is_initial_domain) {
    control::poll();
    if (control::stop_requested()) return;
    deadline = std::min(deadline, platform::monotonic_now() + control_interval);
  }
  if (xen_control::suspend_if_wanted()) {
    interrupts_at = instant::min();
    return;
  }
  // What came may have made a coroutine ready, which `deadline` knows nothing of.
  if (deliver_events() || xen_control::stop_requested()) return;
  auto const now = platform::monotonic_now();
  if (deadline <= now) return;
  set_timer(deadline, now);
  halt();
  deliver_events();
}

}  // namespace
}  // namespace morgana::xen

namespace morgana::platform {

void wait_until(instant deadline) noexcept {
  using namespace xen;
  if (machine.is_xen) {
    halt_under_xen(deadline);
    return;
  }
  control::poll();
  if (deadline <= monotonic_now()) return;
  if (deadline == never) {
    timer::disarm();
  } else {
    timer::arm((deadline - monotonic_now()).count());
  }
  halt();
  if (morgana_timer_fired) {
    morgana_timer_fired = false;
    timer::end_of_interrupt();
  }
  timer::disarm();
  control::poll();
}

}  // namespace morgana::platform

// The timer of the local APIC (Intel SDM volume 3, 11.5.4), which counts at 1 GHz under QEMU and KVM.
//
// Nothing tells the rate of the processor's own counter there, and measuring it would take time at boot; so
// this counter, whose rate is known, is the clock as well. It counts down once, so it is always wound up for
// long: only while the guest is halted it may run out.
#include "machine.hpp"
#include "processor.hpp"
#include "vectors.hpp"

namespace morgana::xen {
namespace {

constexpr std::uint32_t end_of_interrupt_register = 0xb0, spurious = 0xf0, timer_entry = 0x320,
                        line_entry = 0x350, initial_count = 0x380, current_count = 0x390, divisor = 0x3e0;
constexpr std::uint32_t enabled = 0x100, external_controller = 0x700;
/// 16 ns each: 68 s until it must be wound up again.
constexpr std::uint32_t divide_by_16 = 0x3;
constexpr std::int64_t tick_ns = 16;
constexpr std::uint32_t ticks_max = 0xffff'ffff;

std::uint32_t volatile& at(std::uint32_t place) {
  return *reinterpret_cast<std::uint32_t volatile*>(machine.interrupt_controller + place);
}

constinit std::int64_t wound_up_ns = 0;
constinit std::uint32_t wound_up = 0;
constinit std::uint64_t wound_up_cycles = 0;
constinit std::uint64_t start_cycles = 0;
/// Nanoseconds of 2^20 cycles; 0: not known yet.
constinit std::uint64_t cycles_ns = 0;
constexpr unsigned cycles_shift = 20;
/// Until then the rate is measured ever better; the product below must fit.
constexpr std::int64_t measured_ns_max = std::int64_t{1} << 42;

void wind_up(std::uint32_t ticks) {
  auto const now = timer::now_ns();
  auto const cycles = processor::cycles();
  if (now < measured_ns_max && cycles > start_cycles) {
    cycles_ns = (static_cast<std::uint64_t>(now) << cycles_shift) / (cycles - start_cycles);
  }
  wound_up_ns = now;
  wound_up_cycles = cycles;
  at(initial_count) = ticks;
  wound_up = ticks;
}

}  // namespace

void timer::start() {
  at(spurious) = enabled | spurious_vector;
  at(line_entry) = external_controller;  // the old controllers' interrupts come through here
  at(divisor) = divide_by_16;
  at(timer_entry) = timer_vector;
  start_cycles = processor::cycles();
  wind_up(ticks_max);
}

std::int64_t timer::now_ns() {
  auto const left = at(current_count);
  auto const passed = static_cast<std::int64_t>(wound_up - left) * tick_ns;
  if (left != 0 || wound_up == 0) return wound_up_ns + passed;
  auto const by_cycles =
      static_cast<std::int64_t>((processor::cycles() - wound_up_cycles) * cycles_ns >> cycles_shift);
  return wound_up_ns + (by_cycles > passed ? by_cycles : passed);
}

void timer::arm(std::int64_t duration_ns) {
  auto const ticks = duration_ns / tick_ns + 1;
  wind_up(ticks >= ticks_max ? ticks_max : static_cast<std::uint32_t>(ticks));
}

void timer::disarm() {
  wind_up(ticks_max);
}

void timer::end_of_interrupt() {
  at(end_of_interrupt_register) = 0;
}

}  // namespace morgana::xen

#include "vectors.hpp"

#include <cstring>

// Hidden: else these go through a table of pointers, which relocation changes.
#pragma GCC visibility push(hidden)
extern "C" {
// vectors.S
extern char const morgana_exception_stubs[];
extern char const morgana_interrupt_stub[];
extern char const morgana_timer_stub[];
extern char const morgana_event_stub[];

bool volatile morgana_timer_fired = false;

/// Null, code of 64 bits, data, and two for the task. Present and accessed, or the processor would write
/// here.
[[gnu::section(".sealed"), gnu::used]] constinit std::uint64_t morgana_segments[5] = {
    0, 0x00af'9b00'0000'ffff, 0x00cf'9300'0000'ffff, 0, 0};
}
#pragma GCC visibility pop

namespace morgana::xen {
namespace {

constexpr std::uint64_t stub_bytes = 16;
constexpr unsigned exceptions = 32;
constexpr std::uint64_t task_selector = 0x18;

struct gate {
  std::uint64_t low, high;
};
/// An interrupt gate, so that interrupts stay off within.
constexpr gate gate_to(std::uint64_t handler, std::uint64_t stack) {
  return {.low = (handler & 0xffff) | 0x8u << 16 | stack << 32 | std::uint64_t{0x8e} << 40 |
                 (handler >> 16 & 0xffff) << 48,
          .high = handler >> 32};
}

struct [[gnu::packed]] task_state {
  std::uint32_t reserved0;
  std::uint64_t ring_stacks[3];
  std::uint64_t reserved1;
  std::uint64_t interrupt_stacks[7];
  std::uint64_t reserved2;
  std::uint16_t reserved3, ports;
};
static_assert(sizeof(task_state) == 104);

[[gnu::section(".sealed")]] constinit gate gates[vector_count] = {};
[[gnu::section(".sealed")]] constinit task_state task = {};

}  // namespace

descriptor_places fill_descriptors(std::uint64_t slide, std::uint64_t exception_stack) {
  auto const up = [&](void const* what) { return reinterpret_cast<std::uint64_t>(what) + slide; };
  for (unsigned i = 0; i < vector_count; ++i) {
    gates[i] = i < exceptions ? gate_to(up(morgana_exception_stubs) + i * stub_bytes, 1)
                              : gate_to(up(morgana_interrupt_stub), 0);
  }
  gates[timer_vector] = gate_to(up(morgana_timer_stub), 0);
  gates[event_vector] = gate_to(up(morgana_event_stub), 0);
  task.interrupt_stacks[0] = exception_stack;
  task.ports = sizeof task;
  auto const place = up(&task);
  morgana_segments[3] =
      (sizeof task - 1) | (place & 0xff'ffff) << 16 | std::uint64_t{0x89} << 40 | (place >> 24 & 0xff) << 56;
  morgana_segments[4] = place >> 32;
  // Marks the segment as busy, so it comes before the table is read-only; the registers keep the address.
  asm volatile("ltr %w0" : : "r"(task_selector) : "memory");
  return {.segments = {.limit = sizeof morgana_segments - 1, .address = up(morgana_segments)},
          .vectors = {.limit = sizeof gates - 1, .address = up(gates)}};
}

}  // namespace morgana::xen

// Segments, the stack of exceptions, and where exceptions and interrupts go (Intel SDM volume 3, 6.14
// and 7.2.3).
#pragma once

#include <cstdint>

namespace morgana::xen {

/// Interrupts of the two old controllers: 0x20 to 0x2f. The last of them is also the local APIC's spurious
/// one.
inline constexpr std::uint8_t line_vector = 0x20;
inline constexpr std::uint8_t spurious_vector = 0x2f;
inline constexpr std::uint8_t timer_vector = 0x30;
inline constexpr std::uint8_t event_vector = 0x31;
inline constexpr std::uint8_t vector_count = 0x32;

struct [[gnu::packed]] table_place {
  std::uint16_t limit;
  std::uint64_t address;
};
struct descriptor_places {
  table_place segments, vectors;
};

/// Fills the tables, which are read-only later, for an image that will run `slide` higher, and loads the task
/// register. Exceptions will be handled on the stack that ends at `exception_stack`.
[[nodiscard]] descriptor_places fill_descriptors(std::uint64_t slide, std::uint64_t exception_stack);

}  // namespace morgana::xen

/// Set by the timer's interrupt.
extern "C" [[gnu::visibility("hidden")]] bool volatile morgana_timer_fired;

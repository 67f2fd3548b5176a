// What the parts of a guest's platform know of each other. Private to targets/xen/x86_64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/time.hpp"

namespace morgana::xen {

struct memory_range {
  std::uint64_t begin = 0, end = 0;
  [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
};

inline constexpr std::size_t memory_ranges_max = 16;
inline constexpr std::size_t command_line_bytes_max = 4096;

/// What start-up found and chose. Read-only once the guest runs at its own addresses.
struct machine_description {
  std::uint64_t slide = 0;                 ///< what was added to the addresses of the image
  std::uint64_t heap_offset = 0;           ///< address minus physical address, for all memory of the heap
  memory_range memory[memory_ranges_max];  ///< physical, for the heap
  std::size_t memory_count = 0;
  std::uint64_t memory_bytes = 0;  ///< all there is
  memory_range stack;              ///< the pages below it are not mapped
  memory_range exception_stack;
  std::uint64_t interrupt_controller = 0;  ///< the local APIC's registers; 0: there is none to use
  bool is_xen = false;
  bool is_intel = false;
  bool is_initial_domain = false;  ///< of Xen's, with no tools beside it: ports and consoles of the machine are its own
  std::uint64_t console_page = 0;  ///< Xen's console ring
  std::uint64_t store_page = 0;    ///< xenstore's rings
  memory_range guarded;            ///< pages for rings, from the first on every second one
  std::uint32_t console_port = 0, store_port = 0;
  std::byte secret[32] = {};
  bool has_random_instruction = false;  ///< RDRAND
  bool has_seed_instruction = false;    ///< RDSEED; QEMU's emulator has none
};
[[gnu::visibility("hidden")]] extern machine_description const& machine;

/// The command line, a copy; words are split in place by arguments.cpp.
[[gnu::visibility("hidden")]] extern char command_line[command_line_bytes_max];

// ---- parts -------------------------------------------------------------------------------------------

/// Before the ports: an interrupt of theirs is a change, and one that was missed does not come again.
void start_interrupts();
void start_console();
/// After a suspend: an empty ring.
void restart_console();
void start_clock();
/// After a suspend: Xen's time may have jumped, and the monotonic clock goes on from there.
void continue_clock(std::int64_t since_boot_ns);
void start_heap();
/// For what is lent to a backend: pages that nothing of the guest's stands in, cleared only as far as it had used them.
/// Given back by free(). Empty when there is no memory.
[[nodiscard]] std::span<std::byte> take_page_memory(std::size_t count);

/// A moment of the monotonic clock, in Xen's time.
[[nodiscard]] std::uint64_t xen_deadline(std::int64_t deadline_ns);
/// What the monotonic clock said when it was asked last, under Xen.
[[nodiscard]] instant last_time();

/// The timer of the local APIC, which is the clock too where the processor's counter has no known rate.
class timer {
 public:
  static void start();
  /// Interrupts once, in this long or earlier.
  static void arm(std::int64_t duration_ns);
  /// Back to the longest it can, so that the clock goes on.
  static void disarm();
  static void end_of_interrupt();
  /// Nanoseconds since start().
  [[nodiscard]] static std::int64_t now_ns();
};

/// The control line of a bare machine (the second serial port): what the runner asks, and how the guest
/// ended.
namespace control {
void start();
/// Takes what has arrived.
void poll();
[[nodiscard]] bool stop_requested();
void say_exit(int status);
}  // namespace control

class store_link;

/// The same of a guest of Xen: by xenstore.
namespace xen_control {
void start();
void poll();
/// hypervisor::event_of() the port by which xenstore says that it is time to poll.
[[nodiscard]] std::uint64_t event();
/// For drivers: the same rings.
[[nodiscard]] store_link& link();
[[nodiscard]] bool stop_requested();
/// The stop is for a reboot: Xen's tools start the domain again.
[[nodiscard]] bool reboot_requested();
[[nodiscard]] bool suspend_is_wanted();
/// Does it when drivers are quiet. True when it was done, or called off.
[[nodiscard]] bool suspend_if_quiet();
/// How often the guest has gone on as another domain.
[[nodiscard]] std::uint64_t generation();
/// Waits until xenstore has it, half a second at most.
void say_exit(int status);
}  // namespace xen_control

/// Where a crash happened.
struct crash_place {
  std::uintptr_t program_counter = 0;
  std::uintptr_t frame = 0;
  std::uintptr_t stack = 0;
  std::uintptr_t fault_address = 0;
  bool has_fault = false;
  bool is_return_address = false;
};

[[noreturn]] void end_machine(int status);

}  // namespace morgana::xen

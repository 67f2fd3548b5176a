// The whole border to a platform. A target implements these functions, and nothing else of the runtime
// knows which target it runs on. Only runtime/core and targets/ call them.
//
// One core, no preemption: no function is called while another runs, except crash(), which may come from a
// fault handler. "Cannot fail" means that an implementation ends in crash() rather than return wrong data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "morgana/core/time.hpp"

namespace morgana::platform {

/// Version of this contract; a target names the one it implements (`platform_api` in its plugin file).
inline constexpr int api_version = 1;

// ---- console -----------------------------------------------------------------------------------------

/// Writes bytes to the console in order. Works from the first instruction of start-up to the last, in
/// crash() too. Cannot fail; waits for room at most 100 ms, then drops and counts (console_dropped_bytes).
void console_write(std::span<std::byte const> bytes) noexcept;

/// Bytes dropped by console_write since boot.
[[nodiscard]] std::uint64_t console_dropped_bytes() noexcept;

/// Takes console input that has arrived into `into`; returns how many bytes; 0 when there are none.
[[nodiscard]] std::size_t console_read(std::span<std::byte> into) noexcept;

/// True once all input was taken and no more will come (end of file). wait_until() returns when it ends.
[[nodiscard]] bool console_input_ended() noexcept;

// ---- time --------------------------------------------------------------------------------------------

/// Monotonic time since boot. Cannot fail, never goes back, resolution 1 us or better.
[[nodiscard]] instant monotonic_now() noexcept;

/// Civil time. Cannot fail; a platform without such a clock returns 1970-01-01 plus monotonic time and
/// says so by wall_clock_is_set() == false.
[[nodiscard]] wall_time wall_now() noexcept;
[[nodiscard]] bool wall_clock_is_set() noexcept;

/// Blocks until `deadline` or until something happened: a device event was delivered (by making a
/// coroutine ready on its executor), console input arrived, or a stop was requested. Delivers every event
/// that is pending before it returns; with a deadline in the past it delivers and does not block. May
/// return early. Uses no CPU time while blocked.
void wait_until(instant deadline) noexcept;

// ---- boot and end ------------------------------------------------------------------------------------

/// The boot arguments, without the program's own name; they live for ever.
[[nodiscard]] std::span<std::string_view const> arguments() noexcept;

/// True once the host asked for an orderly shutdown (SIGTERM, Xen's control/shutdown).
[[nodiscard]] bool stop_requested() noexcept;

/// Ends the guest with an exit status (docs/exit-codes.md). Flushes the console first.
[[noreturn]] void power_off(int status) noexcept;

enum class crash_reason : std::uint8_t {
  assertion,  ///< an invariant of ours does not hold
  fault,      ///< an invalid access or instruction
  stack_overflow,
  stack_smashed,  ///< a stack canary was overwritten
  out_of_memory,
  platform,  ///< the platform itself cannot go on
};

/// Prints one crash report (reason, `message`, symbols of the call chain where the platform can) between
/// the lines documented in docs/exit-codes.md and ends with that reason's exit status. Never returns,
/// never allocates, may be called from any state; a crash during a crash ends at once.
[[noreturn]] void crash(crash_reason reason, std::string_view message) noexcept;

// ---- memory ------------------------------------------------------------------------------------------

struct memory_usage {
  std::uint64_t limit_bytes;  ///< what this guest may use at most
  std::uint64_t used_bytes;   ///< heap in use, about
  std::uint64_t peak_bytes;   ///< most that was in use
};

/// The heap behind malloc: its limit and its use. Reaching the limit is crash(out_of_memory) for operator
/// new and a null pointer for malloc.
[[nodiscard]] memory_usage memory() noexcept;

// ---- randomness --------------------------------------------------------------------------------------

enum class entropy_kind : std::uint8_t {
  os_generator,   ///< a seeded CSPRNG of the host (getrandom); its output needs no conditioning
  cpu_generator,  ///< RDSEED, RDRAND
  timing,         ///< jitter of the cycle counter
  seed,           ///< handed over by the boot loader or device tree
};

/// One source of raw samples. `sample` fills `into` and returns the bytes written, 0 when it has none now;
/// it does not block for longer than 10 ms.
struct entropy_source_descriptor {
  std::string_view name;
  entropy_kind kind;
  std::uint32_t millibits_per_byte;  ///< conservative credit, 0 to 8000
  std::size_t (*sample)(std::span<std::byte> into) noexcept;
};

/// What this platform has; maybe none. The generator (runtime/entropy) decides what that is worth.
[[nodiscard]] std::span<entropy_source_descriptor const> entropy_sources() noexcept;

/// 32 bytes that differ from boot to boot: for the stack canary, layout, and the keys of hash tables. Never
/// for TLS, never printed. Cannot fail.
[[nodiscard]] std::span<std::byte const, 32> boot_secret() noexcept;

/// Grows by one each time the guest is resumed from a snapshot or migrated, so that the generator reseeds.
[[nodiscard]] std::uint64_t resume_generation() noexcept;

}  // namespace morgana::platform

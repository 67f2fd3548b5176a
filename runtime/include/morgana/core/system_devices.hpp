// The devices that every platform has, by platform.hpp alone: console, clocks, timer, randomness. They hold
// nothing and cost nothing; each satisfies the concept it is named for.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "morgana/core/clock.hpp"
#include "morgana/core/console.hpp"
#include "morgana/core/deadline.hpp"
#include "morgana/core/random.hpp"
#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/time.hpp"

namespace morgana {

/// The platform's console. One reader at a time gets a byte; which, if several read, is not said.
class system_console {
 public:
  static task<result<system_console>> connect(context& in);
  void write(std::string_view text);
  [[nodiscard]] task<result<std::size_t>> read(std::span<std::byte> into, instant deadline);
};

/// Time since boot, read from the platform at every call (context::now() is the batch's).
class system_monotonic_clock {
 public:
  static task<result<system_monotonic_clock>> connect(context& in);
  [[nodiscard]] instant now() const;
};

class system_wall_clock {
 public:
  static result<system_wall_clock> connect(context&) { return system_wall_clock(); }
  [[nodiscard]] wall_time now() const;
  [[nodiscard]] bool is_set() const;
};

class system_timer {
 public:
  static task<result<system_timer>> connect(context& in);
  [[nodiscard]] morgana::sleep_until sleep_until(instant when) { return morgana::sleep_until(when); }
  [[nodiscard]] morgana::sleep_for sleep_for(duration length) { return morgana::sleep_for(length); }
};

/// Randomness of the host's own generator (entropy_kind::os_generator), passed through. On a platform without
/// one it connects, but both functions give core_error::not_seeded: what such a platform has needs
/// conditioning first.
class platform_random {
 public:
  static task<result<platform_random>> connect(context& in);
  [[nodiscard]] task<result<void>> seeded(instant deadline);
  [[nodiscard]] result<void> fill(std::span<std::byte> into);
};

static_assert(console<system_console> && monotonic_clock<system_monotonic_clock> &&
              wall_clock<system_wall_clock> && timer<system_timer> && random_generator<platform_random>);

}  // namespace morgana

// Time. Two clocks that cannot be mixed: monotonic time since boot, which every deadline uses, and wall
// time, which only people read. Values are 64-bit nanoseconds. Nothing here reads a clock: code is given
// `now` as an argument, or asks its executor.
#pragma once

#include <chrono>
#include <cstdint>

namespace morgana {

using duration = std::chrono::nanoseconds;

/// Marks time points as nanoseconds since this boot. It has no now(): see executor::now().
struct monotonic {
  using duration = morgana::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<monotonic>;
  static constexpr bool is_steady = true;
};

/// A moment of monotonic time. Never goes back; does not count suspended time unless the platform says so.
using instant = std::chrono::time_point<monotonic>;

/// A moment of civil time, UTC, nanoseconds since 1970-01-01 without leap seconds.
using wall_time = std::chrono::sys_time<duration>;

/// The deadline that never comes.
inline constexpr instant never = instant::max();

/// `start` plus `length`, or `never` where the sum would overflow.
[[nodiscard]] constexpr instant after(instant start, duration length) {
  return length > never - start ? never : start + length;
}

using namespace std::chrono_literals;

}  // namespace morgana

// Clocks and timers as devices, for applications that want to be given their time (and for tests that want
// to choose it). Code that only waits uses sleep_for (deadline.hpp) and needs no device.
#pragma once

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"
#include "morgana/core/time.hpp"

namespace morgana {

template <class C>
concept monotonic_clock = requires(C const& device) {
  { device.now() } -> std::same_as<instant>;
};

/// is_set() is false where the platform does not know the civil time.
template <class C>
concept wall_clock = requires(C const& device) {
  { device.now() } -> std::same_as<wall_time>;
  { device.is_set() } -> std::same_as<bool>;
};

template <class C>
concept timer = requires(C& device, instant when, duration length) {
  { device.sleep_until(when) } -> awaitable_of<void>;
  { device.sleep_for(length) } -> awaitable_of<void>;
};

}  // namespace morgana

// The round trip and the retransmission timeout (RFC 6298), in integers. As in Linux, the lower bound is on
// the variation: a timeout is at least the smoothed round trip plus the minimum.
#pragma once

#include <algorithm>

#include "morgana/core/time.hpp"

namespace morgana::net::tcp {

inline constexpr duration timeout_min = 200ms;
inline constexpr duration timeout_max = 120s;
inline constexpr duration timeout_initial = 1s;

struct round_trip {
  duration smoothed{};  ///< zero: no sample yet
  duration variation{};
  duration minimum{};  ///< over the connection's life, for RACK's window
  duration latest{};

  void sample(duration measured) {
    measured = std::max(measured, duration(1us));
    latest = measured;
    if (smoothed == 0s) {
      smoothed = minimum = measured;
      variation = measured / 2;
      return;
    }
    minimum = std::min(minimum, measured);
    auto const distance = smoothed > measured ? smoothed - measured : measured - smoothed;
    // None is negative, so that a shift divides.
    variation = duration((3 * variation.count() + distance.count()) >> 2);
    smoothed = duration((7 * smoothed.count() + measured.count()) >> 3);
  }
  [[nodiscard]] duration timeout() const {
    if (smoothed == 0s) return timeout_initial;
    return std::min(smoothed + std::max(4 * variation, timeout_min), timeout_max);
  }
};

}  // namespace morgana::net::tcp

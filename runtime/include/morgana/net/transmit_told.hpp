// Sending through a device for one that looks at what went: recorders and traces.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/net/segment.hpp"

namespace morgana::net {

/// As `to.transmit(from)`, and calls `told` with each frame that it took, in order, afterwards. Errors: those of
/// the device.
template <class Device, class Told>
[[nodiscard]] result<std::size_t> transmit_told(Device& to, std::span<segment> from, Told&& told) {
  // The device takes frames away, and only afterwards is it known which.
  std::array<segment, 8> kept;
  for (std::size_t done = 0; done < from.size();) {
    auto const batch = from.subspan(done, std::min(kept.size(), from.size() - done));
    std::ranges::copy(batch, kept.begin());
    auto const taken = to.transmit(batch);
    if (!taken) return taken;
    for (std::size_t i = 0; i < *taken; ++i) told(kept[i]);
    done += *taken;
    if (*taken < batch.size()) return done;
  }
  return from.size();
}

}  // namespace morgana::net

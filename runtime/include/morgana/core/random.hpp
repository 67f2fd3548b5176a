// Randomness fit for keys. A generator answers only once it was seeded with enough entropy; until then
// fill() is core_error::not_seeded, never weaker bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/core/result.hpp"
#include "morgana/core/task.hpp"

namespace morgana {

template <class G>
concept random_generator = requires(G& device, std::span<std::byte> into, instant deadline) {
  { device.seeded(deadline) } -> awaitable_of<result<void>>;
  { device.fill(into) } -> std::same_as<result<void>>;
};

/// A source that arrives late (Xen's entropy channel, a device tree's seed): waits for samples.
template <class S>
concept entropy_source = requires(S& device, std::span<std::byte> into, instant deadline) {
  { device.sample(into, deadline) } -> awaitable_of<result<std::size_t>>;
  { device.millibits_per_byte() } -> std::convertible_to<std::uint32_t>;
};

/// A uniformly distributed number below `bound` (> 0), without bias.
template <random_generator G>
[[nodiscard]] result<std::uint64_t> random_below(G& generator, std::uint64_t bound) {
  auto const limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    std::uint64_t value = 0;
    auto filled = generator.fill(std::as_writable_bytes(std::span(&value, 1)));
    if (!filled) return failure(std::move(filled.error()));
    if (value < limit) return value % bound;
  }
}

}  // namespace morgana

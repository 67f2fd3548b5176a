// The numbers of a simulated world. One seed gives all of them; every user takes a stream of its own by name,
// so that what one component draws never shifts what another gets. Integers only, and nothing of <random>,
// whose distributions differ between libraries: the same seed is the same run everywhere.
//
// xoshiro256** (Blackman and Vigna, 2018), seeded by SplitMix64 from the seed and the name.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "morgana/core/time.hpp"

namespace morgana::sim {

class random_source {
 public:
  random_source(std::uint64_t seed, std::string_view name);

  /// A stream that depends on this one's seed and name, not on what was drawn so far.
  [[nodiscard]] random_source fork(std::string_view name) const;
  [[nodiscard]] random_source fork(std::string_view name, std::uint64_t number) const;

  [[nodiscard]] std::uint64_t next();
  /// Uniform below `bound` (> 0), without bias.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  /// Uniform, both ends included.
  [[nodiscard]] std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }
  [[nodiscard]] duration between(duration least, duration most) {
    return duration(static_cast<duration::rep>(
        between(static_cast<std::uint64_t>(least.count()), static_cast<std::uint64_t>(most.count()))));
  }
  /// True with probability `millionths` / 1,000,000.
  [[nodiscard]] bool chance(std::uint32_t millionths) {
    return millionths != 0 && below(1'000'000) < millionths;
  }
  /// Exponentially distributed with this mean; at most 32 times the mean.
  [[nodiscard]] duration exponential(duration mean);

 private:
  std::uint64_t identity_;  ///< of seed and name
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace morgana::sim

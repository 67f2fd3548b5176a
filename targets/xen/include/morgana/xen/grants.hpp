// What this guest shares with other domains, for who wants to look: tests, and an application that says how it is.
#pragma once

#include <cstddef>

namespace morgana::xen {

struct grant_counts {
  std::size_t used = 0;   ///< grants that are out
  std::size_t stuck = 0;  ///< of them those whose pages a backend never let go of
  std::size_t limit = 0;
};

/// All 0 where there is no Xen.
[[nodiscard]] grant_counts grants_of_guest();

}  // namespace morgana::xen

// How much memory a guest has, for what grows with the work and has to leave room for the rest.
#pragma once

#include <cstdint>

namespace morgana {

/// What the heap may grow to, bytes.
[[nodiscard]] std::uint64_t memory_limit();

}  // namespace morgana

// The platform's sources of randomness, for the generator (morgana/entropy/generator.hpp) and nobody else:
// raw samples are not fit for keys.
#pragma once

#include <cstdint>
#include <span>

#include "morgana/core/platform.hpp"

namespace morgana {

/// Maybe none. They live for ever.
[[nodiscard]] std::span<platform::entropy_source_descriptor const> entropy_sources();

/// Grows each time the guest goes on as what may be a copy.
[[nodiscard]] std::uint64_t resume_generation();

}  // namespace morgana

#include "morgana/core/boot_secret.hpp"

#include "morgana/core/platform.hpp"

namespace morgana {

std::span<std::byte const, 32> boot_secret() { return platform::boot_secret(); }

}  // namespace morgana

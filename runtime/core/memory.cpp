#include "morgana/core/memory.hpp"

#include "morgana/core/platform.hpp"

namespace morgana {

std::uint64_t memory_limit() {
  return platform::memory().limit_bytes;
}

}  // namespace morgana

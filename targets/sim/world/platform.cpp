// The simulator's own process holds runtime code outside of any guest (the stacks of bare hosts). All that
// this asks of a platform is a way to die and a number for the last words.
#include "morgana/core/platform.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace morgana::platform {

memory_usage memory() noexcept {
  // The process has what the machine has: no bare host is a small guest.
  return {.limit_bytes = UINT64_MAX, .used_bytes = 0, .peak_bytes = 0};
}

[[noreturn]] void crash(crash_reason, std::string_view text) noexcept {
  std::fprintf(stderr, "simulator: %.*s\n", static_cast<int>(text.size()), text.data());
  std::abort();
}

}  // namespace morgana::platform

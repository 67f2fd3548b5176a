// What crash reports call their reasons, on every target (docs/exit-codes.md).
#pragma once

#include <string_view>

#include "morgana/core/platform.hpp"

namespace morgana::platform {

/// "unknown" for a number that is no reason, as a damaged guest may say.
[[nodiscard]] constexpr std::string_view text_of(crash_reason reason) noexcept {
  switch (reason) {
    case crash_reason::assertion: return "assertion";
    case crash_reason::fault: return "fault";
    case crash_reason::stack_overflow: return "stack overflow";
    case crash_reason::stack_smashed: return "stack smashed";
    case crash_reason::out_of_memory: return "out of memory";
    case crash_reason::platform: return "platform";
  }
  return "unknown";
}

}  // namespace morgana::platform

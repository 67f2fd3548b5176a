// Assertions that stay in: what must hold whatever the input, because going on would corrupt or hang.
//
//   require(count <= slots.size(), "more replies than requests");
//
// Ends in the platform's crash report with the text and exit_status::crashed. What input, a peer or an
// operator can cause is an error (result.hpp), never this.
#pragma once

#include <string_view>

#include "morgana/core/platform.hpp"

namespace morgana {

inline void require(bool holds, std::string_view text) {
  if (!holds) [[unlikely]]
    platform::crash(platform::crash_reason::assertion, text);
}

}  // namespace morgana

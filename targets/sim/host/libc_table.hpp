// The functions of this process's C library that guests may call. Private to targets/sim/host.
#pragma once

#include <span>

namespace morgana::sim {

/// In the order of libc_functions.inc.
[[nodiscard]] std::span<void const* const> libc_table();

}  // namespace morgana::sim

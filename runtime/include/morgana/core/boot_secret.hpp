// The boot's secret, for what is keyed with it in coroutine code: initial sequence numbers, ports, hash
// tables. It differs from boot to boot and is never printed. Not for TLS: that is random_generator's
// (random.hpp).
#pragma once

#include <cstddef>
#include <span>

namespace morgana {

/// 32 bytes of the platform's. Derive keys from them (net::keyed_secrets::derive), do not use them as they
/// are.
[[nodiscard]] std::span<std::byte const, 32> boot_secret();

}  // namespace morgana

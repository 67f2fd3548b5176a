#include "morgana/net/dhcp/service.hpp"

#include <string_view>

#include "morgana/core/boot_secret.hpp"

namespace morgana::net {

siphash_key dhcp::boot_key() {
  auto const secret = keyed_secrets::derive(boot_secret());
  static constexpr std::string_view use = "leases";
  auto const text = std::as_bytes(std::span(use));
  return {siphash(secret.jitter, text), siphash(secret.identification, text)};
}

}  // namespace morgana::net

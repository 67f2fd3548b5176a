#include "morgana/net/dns/client.hpp"

#include "morgana/core/boot_secret.hpp"

namespace morgana::net {

void write_text(text_writer& out, name_server_setting const& value) {
  if (value.count == 0) return out.put("auto");
  for (std::size_t i = 0; i < value.count; ++i) {
    if (i != 0) out.put(',');
    write_text(out, value.servers[i]);
  }
}

siphash_key dns::boot_key() {
  // Of its own, so that what queries show tells nothing of the stack's.
  auto const secret = keyed_secrets::derive(boot_secret());
  static constexpr std::string_view use = "names";
  auto const text = std::as_bytes(std::span(use));
  return {siphash(secret.jitter, text), siphash(secret.identification, text)};
}

}  // namespace morgana::net

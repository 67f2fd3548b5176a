#include "morgana/net/keyed.hpp"

#include <algorithm>
#include <cstring>

#include "sodium/crypto_shorthash_siphash24.h"

namespace morgana::net {

std::uint64_t siphash(siphash_key const& key, std::span<std::byte const> bytes) {
  std::uint64_t hash = 0;
  static_assert(sizeof key == crypto_shorthash_siphash24_KEYBYTES);
  static_assert(sizeof hash == crypto_shorthash_siphash24_BYTES);
  crypto_shorthash_siphash24(reinterpret_cast<unsigned char*>(&hash),
                             reinterpret_cast<unsigned char const*>(bytes.data()), bytes.size(),
                             reinterpret_cast<unsigned char const*>(&key));
  return hash;
}

keyed_secrets keyed_secrets::derive(std::span<std::byte const, 32> secret) {
  // One half of the secret keys the hash, the other half is hashed together with the number of the use.
  siphash_key root;
  std::memcpy(&root, secret.data(), sizeof root);
  std::byte text[16 + 1];
  std::memcpy(text, secret.data() + 16, 16);
  std::uint8_t number = 0;
  auto const next = [&] {
    text[16] = std::byte{number++};
    return siphash(root, text);
  };
  keyed_secrets all;
  for (auto* key : {&all.sequence_numbers, &all.ports, &all.timestamps, &all.identification, &all.syn_cookies,
                    &all.flows, &all.interface_identifiers, &all.jitter, &all.fast_open}) {
    key->low = next();
    key->high = next();
  }
  return all;
}

std::uint64_t random_stream::next() {
  auto const number = counter_++;
  return siphash(key_, std::as_bytes(std::span(&number, 1)));
}

std::uint64_t random_stream::below(std::uint64_t bound) {
  // The first values that do not fill a whole multiple of `bound` are thrown away.
  auto const excess = (0 - bound) % bound;
  for (;;) {
    if (auto const value = next(); value >= excess) return value % bound;
  }
}

}  // namespace morgana::net

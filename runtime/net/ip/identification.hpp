// Identifications of packets that may be fragmented, as RFC 7739 5.3 has it: a counter per small group of
// destinations behind a keyed offset per pair of addresses, so that an outsider learns neither the next value
// nor how much is sent to others. Atomic IPv4 packets (RFC 6864 4.1) need none and carry 0.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "morgana/net/address.hpp"
#include "morgana/net/keyed.hpp"

namespace morgana::net::host {

class identification_source {
 public:
  explicit identification_source(keyed_secrets const& secrets)
      : key_(secrets.identification), steps_({secrets.identification.high, secrets.identification.low}) {}

  [[nodiscard]] std::uint32_t next(ip_address const& source, ip_address const& destination) {
    std::array<std::byte, 32> pair;
    auto const from = source.v6().bytes;
    auto const to = destination.v6().bytes;
    std::memcpy(pair.data(), from.data(), 16);
    std::memcpy(pair.data() + 16, to.data(), 16);
    auto const hash = siphash(key_, pair);
    auto& counter = counters_[hash >> 56];
    counter += 1 + static_cast<std::uint32_t>(steps_.below(4));
    return static_cast<std::uint32_t>(hash) + counter;
  }

 private:
  siphash_key key_;
  random_stream steps_;
  std::array<std::uint32_t, 256> counters_{};
};

}  // namespace morgana::net::host

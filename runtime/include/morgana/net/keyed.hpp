// Keyed randomness for protocols: numbers that an outsider cannot predict and a test can repeat. Every use
// has a key of its own, derived from one secret of 32 bytes, so that learning one tells nothing of another.
//
// The keyed hash is SipHash-2-4 (Aumasson and Bernstein, 2012). It is not for TLS.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace morgana::net {

struct siphash_key {
  std::uint64_t low = 0, high = 0;
};

/// SipHash-2-4 of any bytes.
[[nodiscard]] std::uint64_t siphash(siphash_key const& key, std::span<std::byte const> bytes);

/// The key of each use.
struct keyed_secrets {
  siphash_key sequence_numbers;      ///< RFC 6528
  siphash_key ports;                 ///< RFC 6056, algorithm 5
  siphash_key timestamps;            ///< RFC 7323 5.4: an offset per connection
  siphash_key identification;        ///< RFC 7739
  siphash_key syn_cookies;           ///< RFC 4987 3.6
  siphash_key flows;                 ///< the flow table
  siphash_key interface_identifiers; ///< RFC 7217
  siphash_key jitter;                ///< seeds random_stream
  siphash_key fast_open;             ///< cookies of RFC 7413

  [[nodiscard]] static keyed_secrets derive(std::span<std::byte const, 32> secret);
};

/// A sequence of numbers from a key (SipHash of a counter): whoever lacks the key cannot tell the next from those before
/// it, and a test gets the same ones again. For jitter, sampling, ports and the identifiers of DNS and DHCP; not for
/// cryptographic keys.
class random_stream {
 public:
  explicit random_stream(siphash_key const& key) : key_(key) {}
  [[nodiscard]] std::uint64_t next();
  /// Uniform below `bound` (> 0), without bias.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  /// True with probability `millionths` / 1,000,000.
  [[nodiscard]] bool chance(std::uint32_t millionths) { return below(1'000'000) < millionths; }

 private:
  siphash_key key_;
  std::uint64_t counter_ = 0;
};

}  // namespace morgana::net

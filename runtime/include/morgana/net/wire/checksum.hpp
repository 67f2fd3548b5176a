// The Internet checksum: RFC 1071, updated incrementally by RFC 1624.
//
//   checksum sum;
//   sum.add_pseudo_header(source, destination, protocol, length);    // RFC 9293 3.1, RFC 8200 8.1
//   sum.add(header);
//   sum.add(payload);                    // pieces of any length, in order; odd ones too
//   store16(header, 16, sum.finish());
//
// A packet with its checksum in place sums to zero: `sum.finish() == 0`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "morgana/net/address.hpp"

namespace morgana::net::wire {

class checksum {
 public:
  constexpr checksum() = default;
  /// Continues from a finished or partial sum (not complemented).
  constexpr explicit checksum(std::uint16_t partial) : sum_(partial) {}

  void add(std::span<std::byte const> bytes);
  constexpr void add16(std::uint16_t value) { sum_ += value; }
  void add_pseudo_header(ip_address const& source, ip_address const& destination, std::uint8_t protocol,
                         std::uint32_t length_bytes);

  /// The sum so far, folded to 16 bits and not complemented: what checksum_state::partial holds.
  [[nodiscard]] std::uint16_t partial() const;
  /// The checksum to store.
  [[nodiscard]] std::uint16_t finish() const { return static_cast<std::uint16_t>(~partial()); }

 private:
  std::uint64_t sum_ =
      0;              ///< of 16-bit words in host order of big-endian values; never overflows: folded in add
  bool odd_ = false;  ///< an odd number of bytes was added so far
};

/// RFC 1624, equation 3: the checksum after a 16-bit field changed from `before` to `after`.
[[nodiscard]] constexpr std::uint16_t update_checksum(std::uint16_t stored, std::uint16_t before,
                                                      std::uint16_t after) {
  std::uint32_t sum = static_cast<std::uint16_t>(~stored);
  sum += static_cast<std::uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace morgana::net::wire

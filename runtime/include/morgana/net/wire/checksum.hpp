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

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "morgana/net/address.hpp"

namespace morgana::net::wire {

/// A 16-bit value in network order from one in host order, and back.
[[nodiscard]] constexpr std::uint16_t network_order(std::uint16_t value) {
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

/// Any sum of 16-bit words as one of them, with the carries carried round.
[[nodiscard]] constexpr std::uint16_t fold_checksum(std::uint64_t sum) {
  // Each half is added to the other: the carry of the lower ones comes round into the upper, which cannot carry then.
  auto const folded = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<std::uint16_t>((folded + std::rotl(folded, 16)) >> 16);
}

/// fold_checksum() == 0xffff: in one's complement that is zero, and a multiple of it is.
[[nodiscard]] constexpr bool sums_to_whole(std::uint64_t sum) {
  // 0xffff times this is -1, so that multiples of 0xffff become small numbers: how often it is in them, negated.
  constexpr std::uint64_t most = 0x0001'0001'0001'0001u;
  return 0 - sum * most - 1 < most;
}

/// The words of `Size` bytes, a multiple of four, as they lie in memory: for headers, whose length is known.
/// One's complement sums do not mind the byte order (RFC 1071, 2B): fold, then network_order().
template <std::size_t Size>
  requires(Size % 4 == 0)
[[nodiscard]] inline std::uint64_t sum_words(std::byte const* bytes) {
  std::uint64_t sum = 0;
#pragma clang loop unroll(full)
  for (std::size_t i = 0; i < Size; i += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    sum += word;
  }
  return sum;
}

/// The same for any number of bytes, an odd last one padded; less than 2^34.
[[nodiscard]] std::uint64_t sum_words(std::span<std::byte const> bytes);

/// Copies `from` to where nothing of it lies and gives its sum_words().
[[nodiscard]] std::uint64_t copy_and_sum(std::byte* to, std::span<std::byte const> from);
/// Whether that is one pass over the bytes. Where it is not, it costs more than a copy of all and a sum of all afterwards.
[[nodiscard]] bool sums_while_copying();

class checksum {
 public:
  constexpr checksum() = default;
  /// Continues from a finished or partial sum (not complemented).
  constexpr explicit checksum(std::uint16_t partial) : sum_(network_order(partial)) {}

  void add(std::span<std::byte const> bytes) {
    if (bytes.empty()) return;
    auto const part = sum_words(bytes);
    // A piece that begins at an odd offset counts with its bytes swapped.
    sum_ += odd_ ? std::byteswap(fold_checksum(part)) : part;
    odd_ ^= (bytes.size() & 1) != 0;
  }
  constexpr void add16(std::uint16_t value) { sum_ += network_order(value); }
  void add_pseudo_header(ip_address const& source, ip_address const& destination, std::uint8_t protocol,
                         std::uint32_t length_bytes) {
    sum_ += source.sum() + destination.sum();
    add16(static_cast<std::uint16_t>(length_bytes >> 16));
    add16(static_cast<std::uint16_t>(length_bytes));
    add16(protocol);
  }
  /// A sum of words as they lie in memory, at an even offset.
  constexpr void add_sum(std::uint64_t words) { sum_ += words; }

  /// finish() == 0, for a sum that is not of zeros alone: of a packet with its checksum in place.
  [[nodiscard]] constexpr bool is_whole() const { return sums_to_whole(sum_); }
  /// The sum so far, folded to 16 bits and not complemented: what checksum_state::partial holds.
  [[nodiscard]] constexpr std::uint16_t partial() const { return network_order(fold_checksum(sum_)); }
  /// The checksum to store.
  [[nodiscard]] constexpr std::uint16_t finish() const { return static_cast<std::uint16_t>(~partial()); }

 private:
  std::uint64_t sum_ = 0;  ///< of words as they lie in memory; each piece adds less than 2^34
  bool odd_ = false;       ///< an odd number of bytes was added so far
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

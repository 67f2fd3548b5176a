#include "morgana/net/wire/checksum.hpp"

#include <bit>
#include <cstring>

namespace morgana::net::wire {
namespace {

constexpr std::uint64_t fold32(std::uint64_t sum) {
  return (sum & 0xffff'ffffu) + (sum >> 32);
}

/// Sums the bytes as 64-bit words with end-around carry, in memory order. One's complement sums do not mind
/// the byte order (RFC 1071, 2B), so the swap to network order is done once, at the end.
std::uint64_t sum_in_memory_order(std::byte const* data, std::size_t size) {
  unsigned long long sum = 0;
  unsigned long long carry = 0;
  // The carry passes from addition to addition within a round and is saved between rounds: long rounds pay.
  constexpr std::size_t words = 16;
  while (size >= words * 8) {
    unsigned long long word[words];
    std::memcpy(word, data, sizeof word);
#pragma clang loop unroll(full)
    for (std::size_t i = 0; i < words; ++i) sum = __builtin_addcll(sum, word[i], carry, &carry);
    data += sizeof word;
    size -= sizeof word;
  }
  while (size >= 8) {
    unsigned long long word;
    std::memcpy(&word, data, sizeof word);
    sum = __builtin_addcll(sum, word, carry, &carry);
    data += 8;
    size -= 8;
  }
  if (size > 0) {
    unsigned long long word = 0;
    std::memcpy(&word, data, size);
    sum = __builtin_addcll(sum, word, carry, &carry);
  }
  sum += carry;
  if (carry != 0 && sum == 0) sum = 1;
  return sum;
}

std::uint16_t fold16(std::uint64_t sum) {
  sum = fold32(fold32(sum));
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

}  // namespace

void checksum::add(std::span<std::byte const> bytes) {
  if (bytes.empty()) return;
  auto part = fold16(sum_in_memory_order(bytes.data(), bytes.size()));
  // Memory order to network order; a piece that begins at an odd offset counts with its bytes swapped.
  bool const swap = (std::endian::native == std::endian::little) != odd_;
  if (swap) part = std::byteswap(part);
  sum_ += part;
  odd_ ^= (bytes.size() & 1) != 0;
}

void checksum::add_pseudo_header(ip_address const& source, ip_address const& destination,
                                 std::uint8_t protocol, std::uint32_t length_bytes) {
  auto add_address = [this](auto const& address) { add(std::as_bytes(std::span(address.bytes))); };
  if (source.is_v4()) {
    add_address(source.v4());
    add_address(destination.v4());
  } else {
    add_address(source.v6());
    add_address(destination.v6());
  }
  sum_ += (length_bytes >> 16) + (length_bytes & 0xffffu) + protocol;
}

std::uint16_t checksum::partial() const {
  return fold16(sum_);
}

}  // namespace morgana::net::wire

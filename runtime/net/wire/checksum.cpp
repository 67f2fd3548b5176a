#include "morgana/net/wire/checksum.hpp"

#include <cstring>

namespace morgana::net::wire {
namespace {

constexpr std::uint64_t fold32(std::uint64_t sum) { return (sum & 0xffff'ffffu) + (sum >> 32); }

std::uint64_t load_word(std::byte const* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Whole 64-bit words; `size` is a multiple of eight.
std::uint64_t sum_of_whole_words(std::byte const* data, std::size_t size) {
  if constexpr (sizeof(std::size_t) == 8) {
    // No carry passes from one addition to the next, so that they need not wait for each other and the compiler
    // takes two words at once: `all` wraps, but the upper halves are summed exactly beside it, and what is then
    // missing of `all` are the lower halves, whose sum is less than 2^64.
    std::uint64_t all = 0;
    std::uint64_t upper = 0;
#pragma clang loop interleave_count(4)
    for (std::size_t at = 0; at < size; at += 8) {
      auto const word = load_word(data + at);
      all += word;
      upper += word >> 32;
    }
    return fold32(all - (upper << 32)) + fold32(upper);
  } else {
    // With 32-bit registers the carry is the cheaper way.
    unsigned long long sum = 0;
    unsigned long long carry = 0;
    for (std::size_t at = 0; at < size; at += 8) sum = __builtin_addcll(sum, load_word(data + at), carry, &carry);
    return fold32(sum) + carry;
  }
}

}  // namespace

std::uint64_t sum_words(std::span<std::byte const> bytes) {
  auto const whole = bytes.size() & ~std::size_t{7};
  auto sum = sum_of_whole_words(bytes.data(), whole);
  auto const* rest = bytes.data() + whole;
  if ((bytes.size() & 4) != 0) {
    std::uint32_t word;
    std::memcpy(&word, rest, sizeof word);
    sum += word;
    rest += sizeof word;
  }
  if ((bytes.size() & 2) != 0) {
    std::uint16_t word;
    std::memcpy(&word, rest, sizeof word);
    sum += word;
    rest += sizeof word;
  }
  if ((bytes.size() & 1) != 0) {
    auto const last = static_cast<std::uint16_t>(*rest);
    sum += std::endian::native == std::endian::little ? last : static_cast<std::uint16_t>(last << 8);
  }
  return sum;
}

}  // namespace morgana::net::wire

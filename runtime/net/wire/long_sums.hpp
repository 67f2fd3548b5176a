// The words of long ranges for the Internet checksum, summed in one of two ways, of which checksum.cpp takes the faster.
//
// The wide way takes 32 bytes at a time, where the processor has AVX2: images are compiled for every x86-64, so that it is
// asked when they run. In an image that is to be small in all its parts (`-Os` for what is hot, too) there is one way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && !defined(__OPTIMIZE_SIZE__)
#define MORGANA_HAS_WIDE_SUM 1
#else
#define MORGANA_HAS_WIDE_SUM 0
#endif

namespace morgana::net::wire {

/// Less than 2^33, and congruent modulo 0xffff.
constexpr std::uint64_t fold32(std::uint64_t sum) { return (sum & 0xffff'ffffu) + (sum >> 32); }

/// Eight bytes as they lie in memory.
inline std::uint64_t load_word(std::byte const* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The sum of the 32-bit words as they lie in memory, folded to less than 2^33; `size` is a multiple of eight.
[[nodiscard]] std::uint64_t plain_long_sum(std::byte const* data, std::size_t size);

#if MORGANA_HAS_WIDE_SUM
/// Whether the processor has AVX2, and whoever runs us keeps its registers.
[[nodiscard]] bool has_wide_long_sum();
/// Congruent to plain_long_sum() modulo 0xffff, and zero only with it. Where has_wide_long_sum(), from 64 bytes on.
[[nodiscard]] std::uint64_t wide_long_sum(std::byte const* data, std::size_t size);
/// The same, copied to where nothing of it lies on the way.
[[nodiscard]] std::uint64_t wide_long_copy(std::byte* to, std::byte const* data, std::size_t size);
#endif

}  // namespace morgana::net::wire

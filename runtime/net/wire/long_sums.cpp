#include "long_sums.hpp"

#include <cstring>

#if MORGANA_HAS_WIDE_SUM
#include <cpuid.h>
#endif

namespace morgana::net::wire {
namespace {

constexpr std::uint64_t fold32(std::uint64_t sum) { return (sum & 0xffff'ffffu) + (sum >> 32); }

std::uint64_t load_word(std::byte const* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

std::uint64_t plain_long_sum(std::byte const* data, std::size_t size) {
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
    return fold32(fold32(all - (upper << 32)) + fold32(upper));
  } else {
    // With 32-bit registers the carry is the cheaper way.
    unsigned long long sum = 0;
    unsigned long long carry = 0;
    for (std::size_t at = 0; at < size; at += 8) sum = __builtin_addcll(sum, load_word(data + at), carry, &carry);
    return fold32(sum) + carry;
  }
}

#if MORGANA_HAS_WIDE_SUM
namespace {

bool ask_processor() {
  unsigned a, b, c, d;
  constexpr unsigned there_and_kept = bit_AVX | bit_OSXSAVE;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & there_and_kept) != there_and_kept) return false;
  // XCR0: both halves of the registers are kept.
  constexpr unsigned both_halves = 6;
  asm("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (a & both_halves) == both_halves && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_AVX2) != 0;
}

using words = std::uint64_t __attribute__((vector_size(32)));
using places = signed char __attribute__((vector_size(32)));

/// As in plain_long_sum().
struct lanes {
  words all{};
  words upper{};
  [[gnu::always_inline]] void add(words const& one) {
    all += one;
    upper += one >> 32;
  }
};

[[gnu::always_inline]] inline void load(words& into, std::byte const* from) { std::memcpy(&into, from, sizeof into); }

}  // namespace

bool has_wide_long_sum() {
  static bool const has = ask_processor();
  return has;
}

[[gnu::target("avx2")]] std::uint64_t wide_long_sum(std::byte const* data, std::size_t size) {
  constexpr std::size_t step = sizeof(words);
  constexpr places place{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  auto const* const end = data + size;
  lanes first, second;
  words one, other;
  // What lies before the first boundary, so that no load crosses a cache line; it would cut the words of what begins at
  // an odd address.
  auto const address = reinterpret_cast<std::uintptr_t>(data);
  auto const before = (address & 1) != 0 ? std::size_t{0} : step - address % step;
  load(one, data);
  first.add(one & reinterpret_cast<words>(place < static_cast<signed char>(before)));
  data += before;
  for (; static_cast<std::size_t>(end - data) >= 2 * step; data += 2 * step) {
    load(one, data);
    load(other, data + step);
    first.add(one);
    second.add(other);
  }
  if (static_cast<std::size_t>(end - data) >= step) {
    load(one, data);
    first.add(one);
    data += step;
  }
  // The rest ends the last `step` bytes, of which the others are in already.
  auto const rest = static_cast<std::size_t>(end - data);
  load(one, end - step);
  second.add(one & reinterpret_cast<words>(place >= static_cast<signed char>(step - rest)));
  auto const upper = first.upper + second.upper;
  auto const lower = first.all + second.all - (upper << 32);
  auto const four = (lower & 0xffff'ffffu) + (lower >> 32) + upper;
  return fold32(four[0] + four[1] + four[2] + four[3]);
}
#endif

}  // namespace morgana::net::wire

#include "long_sums.hpp"

#if MORGANA_HAS_WIDE_SUM
#include <cpuid.h>
#endif

namespace morgana::net::wire {

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
using words_anywhere [[gnu::aligned(1), gnu::may_alias]] = words;
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

}  // namespace

bool has_wide_long_sum() {
  static bool const has = ask_processor();
  return has;
}

namespace {

enum class what : bool { sum, copy };

/// `to` is where the first byte goes when it is to copy.
template <what Does>
[[gnu::always_inline, gnu::target("avx2")]] inline std::uint64_t pass(std::byte const* data, std::size_t size,
                                                                      std::byte* to) {
  constexpr std::size_t step = sizeof(words);
  constexpr places place{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  auto const* const end = data + size;
  auto const take = [&](words& into, std::byte const* from) {
    into = *reinterpret_cast<words_anywhere const*>(from);
    if constexpr (Does == what::copy) *reinterpret_cast<words_anywhere*>(to + (from - data)) = into;
  };
  lanes first, second;
  words one, other;
  // What lies before the first boundary, so that no load, or no store, crosses a cache line; it would cut the words of
  // what begins at an odd address.
  auto const address = reinterpret_cast<std::uintptr_t>(Does == what::copy ? to : data);
  auto const before = (address & 1) != 0 ? std::size_t{0} : step - address % step;
  take(one, data);
  first.add(one & reinterpret_cast<words>(place < static_cast<signed char>(before)));
  auto const* at = data + before;
  for (; static_cast<std::size_t>(end - at) >= 2 * step; at += 2 * step) {
    take(one, at);
    take(other, at + step);
    first.add(one);
    second.add(other);
  }
  if (static_cast<std::size_t>(end - at) >= step) {
    take(one, at);
    first.add(one);
    at += step;
  }
  // The rest ends the last `step` bytes, of which the others are in already.
  auto const rest = static_cast<std::size_t>(end - at);
  take(one, end - step);
  second.add(one & reinterpret_cast<words>(place >= static_cast<signed char>(step - rest)));
  auto const upper = first.upper + second.upper;
  auto const lower = first.all + second.all - (upper << 32);
  auto const four = (lower & 0xffff'ffffu) + (lower >> 32) + upper;
  return fold32(four[0] + four[1] + four[2] + four[3]);
}

}  // namespace

[[gnu::target("avx2")]] std::uint64_t wide_long_sum(std::byte const* data, std::size_t size) {
  return pass<what::sum>(data, size, nullptr);
}

[[gnu::target("avx2")]] std::uint64_t wide_long_copy(std::byte* to, std::byte const* data, std::size_t size) {
  return pass<what::copy>(data, size, to);
}
#endif

}  // namespace morgana::net::wire
